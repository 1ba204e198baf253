-- One row: the published reviews by what the model says of them, and how many it is hardly sure of.
select
    countif(positive_review) as positive,
    countif(not positive_review) as negative,
    countif(positive_review is null) as not_judged,
    countif(positive_probability between {{ low_confidence_from }} and {{ low_confidence_to }}) as low_confidence
from `{{ dataset }}.movie_review`
