-- One row: the published reviews by what the model says of them.
select
    countif(positive_review) as positive,
    countif(not positive_review) as negative,
    countif(positive_review is null) as not_judged
from `{{ dataset }}.movie_review`
