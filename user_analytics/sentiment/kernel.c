/* Words, n-grams and scores of many reviews, over Arrow's buffers as they lie in memory.

   tokeniser.py says what a word is and score.py what a score is; tests hold this file to both. It is
   compiled because every review of every run passes through it. It is C, called by ctypes, so that the
   built library needs neither Python's headers nor a compiler where it runs. No text is trusted to be
   valid UTF-8, and nothing is allocated. */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LONGEST_ENTITY_NAME = 8, LONGEST_NGRAM = 3, COMMON_COUNTS = 32, WAITING = 256 };

/* A place for one n-gram of a model. */
typedef struct {
    uint32_t tag;   /* upper bits of its hash; 0 if the place is free */
    uint32_t count; /* occurrences in the text at hand; 0 between texts */
} place;

typedef struct {
    float weight;
    float idf;
} value;

/* The n-grams' hash table, in which one look tells whether an n-gram is there: whether a second one was needed no
   processor could guess, and it would wait for memory again. For each group of n-grams the table knows how many steps
   from their first places they stand, a number chosen for all of them to have places of their own. */
typedef struct {
    uint64_t *filter; /* bits; those of the model's n-grams are set: most others end here */
    uint64_t last_bit; /* number of bits - 1, which is a power of two - 1 */
    uint16_t *steps;
    uint64_t last_group; /* number of groups - 1, likewise */
    place *places;
    uint64_t number_of_places;
    value *values;   /* of the n-gram in each place */
    uint32_t *found; /* room for the number of each place */
    double bias;
} model;

/* --- words --------------------------------------------------------------------------------------------- */

typedef enum { SEPARATOR, LETTER, APOSTROPHE, MARK, OTHER } kind;

/* What a byte is; for OTHER, those after it have a say. */
static const uint8_t KINDS[256] = {
    ['0' ... '9'] = LETTER, ['A' ... 'Z'] = LETTER, ['a' ... 'z'] = LETTER, ['\''] = APOSTROPHE,
    ['!'] = MARK, ['?'] = MARK, ['&'] = OTHER, ['<'] = OTHER, [0xC3] = OTHER, [0xE2] = OTHER,
};

static bool is_apostrophe(const uint8_t *name, int64_t length) {
    static const char *const NAMES[] = {"#39", "#x27", "apos", "rsquo", "lsquo", "#8217", "#8216"};
    for (unsigned each = 0; each < sizeof NAMES / sizeof *NAMES; each++)
        if ((int64_t)strlen(NAMES[each]) == length && memcmp(name, NAMES[each], (size_t)length) == 0) return true;
    return false;
}

static kind read_entity(const uint8_t **at, const uint8_t *end) {
    const uint8_t *name = *at + 1, *next = name;
    if (next != end && *next == '#') next++;
    const uint8_t *start = next;
    while (next != end && next - start < LONGEST_ENTITY_NAME && KINDS[*next] == LETTER) next++;
    if (next == start || next == end || *next != ';') {
        *at += 1;
        return SEPARATOR;
    }
    *at = next + 1;
    return is_apostrophe(name, next - name) ? APOSTROPHE : SEPARATOR;
}

static kind read_tag(const uint8_t **at, const uint8_t *end) {
    const uint8_t *next = *at + 1;
    if (next != end && ((*next >= 'A' && KINDS[*next] == LETTER) || *next == '/' || *next == '!'))
        while (next != end && *next != '<' && *next != '>') next++;
    *at = next != end && *next == '>' && next != *at + 1 ? next + 1 : *at + 1;
    return SEPARATOR;
}

/* Read what more than one byte may tell and move past it; a letter's two bytes are left in `letter`. */
static kind read_other(const uint8_t **at, const uint8_t *end, uint8_t letter[2]) {
    const uint8_t *here = *at;
    switch (*here) {
    case '&': return read_entity(at, end);
    case '<': return read_tag(at, end);
    case 0xC3: /* U+00C0 to U+00FF; U+00D7 and U+00F7 are no letters */
        if (end - here < 2 || (here[1] & 0xC0) != 0x80 || here[1] == 0x97 || here[1] == 0xB7) break;
        letter[0] = here[0];
        letter[1] = here[1] < 0x9F ? here[1] | 0x20 : here[1];
        *at += 2;
        return LETTER;
    case 0xE2: /* U+2018 and U+2019 */
        if (end - here < 3 || here[1] != 0x80 || (here[2] != 0x98 && here[2] != 0x99)) break;
        *at += 3;
        return APOSTROPHE;
    default: break;
    }
    *at += 1;
    return SEPARATOR;
}

/* The hash of a word, taken eight of its bytes at a time. */
typedef struct {
    uint64_t hash;
    uint64_t chunk; /* bytes not yet in the hash, the first one lowest */
    int bytes;      /* their number */
} hasher;

static inline void take_chunk(hasher *word, uint64_t chunk) {
    word->hash = (word->hash ^ chunk) * 0x9FB21C651E98DF25;
    word->hash ^= word->hash >> 32;
}

static inline void take_byte(hasher *word, uint8_t byte) {
    word->chunk |= (uint64_t)byte << (8 * word->bytes);
    if (++word->bytes == 8) {
        take_chunk(word, word->chunk);
        word->chunk = 0;
        word->bytes = 0;
    }
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "eight_bytes reads memory as a little-endian number");

/* The eight bytes from here, the first one lowest; zeros after the end. */
static inline uint64_t eight_bytes(const uint8_t *at, const uint8_t *end) {
    uint64_t chunk = 0;
    if (end - at >= 8) memcpy(&chunk, at, 8);
    else memcpy(&chunk, at, (size_t)(end - at));
    return chunk;
}

#define EACH_BYTE(value) (0x0101010101010101 * (uint64_t)(value))

/* How many of eight bytes, from the first on, are ASCII letters or digits. Adding to a byte below 0x80 sets its
   highest bit if it was no less than 0x80 minus what is added. */
static inline int letters_of(uint64_t chunk) {
    uint64_t low = chunk & EACH_BYTE(0x7F), lower = low | EACH_BYTE(0x20);
    uint64_t letters = (lower + EACH_BYTE(0x80 - 'a')) & ~(lower + EACH_BYTE(0x7F - 'z'));
    uint64_t digits = (low + EACH_BYTE(0x80 - '0')) & ~(low + EACH_BYTE(0x7F - '9'));
    uint64_t others = ~((letters | digits) & ~chunk) & EACH_BYTE(0x80);
    return others ? __builtin_ctzll(others) / 8 : 8;
}

/* Take the letters and digits from `at` on and return what follows; in their bytes case is one bit. */
static inline const uint8_t *take_letters(hasher *word, const uint8_t *at, const uint8_t *end) {
    for (;;) {
        uint64_t chunk = eight_bytes(at, end);
        int letters = letters_of(chunk);
        at += letters;
        chunk |= EACH_BYTE(0x20);
        if (word->bytes != 0) {
            for (int each = 0; each < letters; each++) take_byte(word, (uint8_t)(chunk >> (8 * each)));
        } else if (letters == 8) {
            take_chunk(word, chunk);
        } else {
            word->chunk = chunk & (((uint64_t)1 << (8 * letters)) - 1);
            word->bytes = letters;
        }
        if (letters < 8) return at;
    }
}

/* Move past the next word and give its hash, never 0; false at the end of the text. With `out` the word is
   written there too, and `out` moved past it; it takes no more bytes than were read. */
__attribute__((always_inline)) static inline bool next_word(const uint8_t **at, const uint8_t *end, uint64_t *hash, uint8_t **out) {
    hasher word = {0, 0, 0};
    const uint8_t *next = *at;
    int64_t apostrophes = 0; /* since the last letter: inside the word if another one follows */
    bool begun = false;
    while (next != end) {
        const uint8_t *start = next;
        uint8_t letter[2] = {0, 0};
        kind found = KINDS[*next];
        if (found == OTHER) found = read_other(&next, end, letter);
        else if (found != LETTER) next++;
        if (found == LETTER) {
            for (; apostrophes > 0; apostrophes--) {
                if (!begun) continue;
                take_byte(&word, '\'');
                if (out) *(*out)++ = '\'';
            }
            begun = true;
            if (letter[0]) {
                take_byte(&word, letter[0]);
                take_byte(&word, letter[1]);
                if (out) *(*out)++ = letter[0], *(*out)++ = letter[1];
            } else {
                next = take_letters(&word, start, end);
                if (out) for (; start != next; start++) *(*out)++ = *start | 0x20;
            }
        } else if (found == APOSTROPHE) {
            apostrophes++;
        } else if (begun) {
            if (found == MARK) next = start; /* it is the next word */
            break;
        } else if (found == MARK) {
            take_byte(&word, *start);
            if (out) *(*out)++ = *start;
            begun = true;
            break;
        } else {
            apostrophes = 0;
        }
    }
    *at = next;
    take_chunk(&word, word.chunk);
    *hash = word.hash * 0xBF58476D1CE4E5B9 | 1;
    return begun;
}

/* Write the words of each text with one space between two. `out` has room for twice the bytes of all texts;
   text i then lies from out_offsets[i] to out_offsets[i + 1]. */
void write_words(const uint8_t *bytes, const int64_t *offsets, int64_t texts, uint8_t *out, int64_t *out_offsets) {
    uint8_t *next = out;
    out_offsets[0] = 0;
    for (int64_t text = 0; text < texts; text++) {
        const uint8_t *at = bytes + offsets[text], *end = bytes + offsets[text + 1];
        const uint8_t *start = next;
        uint64_t hash;
        for (;;) {
            uint8_t *word = next == start ? next : next + 1;
            uint8_t *after = word;
            if (!next_word(&at, end, &hash, &after)) break;
            if (word != next) *next = ' ';
            next = after;
        }
        out_offsets[text + 1] = next - out;
    }
}

/* --- n-grams ------------------------------------------------------------------------------------------- */

/* The hash of an n-gram is that of its last word and those before it, each shifted by where it stands. */
static inline uint64_t joined(uint64_t before, uint64_t word) {
    uint64_t hash = (before ^ (before >> 31)) * 0x9E3779B97F4A7C15 + word;
    return hash | 1;
}

static inline uint64_t filter_bit(const model *model, uint64_t hash) {
    return (hash >> 20) & model->last_bit;
}

static inline bool may_be_known(const model *model, uint64_t hash) {
    uint64_t bit = filter_bit(model, hash);
    return model->filter[bit >> 6] >> (bit & 63) & 1;
}

static inline uint32_t tag_of(uint64_t hash) {
    return (uint32_t)(hash >> 32) | 1;
}

static inline uint64_t group_of(const model *model, uint64_t hash) {
    return (hash >> 40) & model->last_group;
}

/* The number of the only place where an n-gram can be. */
static inline uint32_t place_of(const model *model, uint64_t hash) {
    uint32_t position = (uint32_t)hash + tag_of(hash) * model->steps[group_of(model, hash)];
    return (uint32_t)(position * model->number_of_places >> 32); /* evenly over all places */
}

/* The hash and the group of each n-gram, words with one space between two. */
void hash_ngrams(
    const model *model, const uint8_t *bytes, const int64_t *offsets, int64_t ngrams, uint64_t *hashes, uint64_t *groups
) {
    for (int64_t ngram = 0; ngram < ngrams; ngram++) {
        const uint8_t *at = bytes + offsets[ngram], *end = bytes + offsets[ngram + 1];
        uint64_t word, hash = 0;
        for (bool first = true; next_word(&at, end, &word, NULL); first = false) hash = first ? word : joined(hash, word);
        hashes[ngram] = hash;
        groups[ngram] = group_of(model, hash);
    }
}

/* Give all n-grams of a group their places, or none of them if one is taken. */
static bool put_group(model *model, const uint64_t *hashes, int64_t ngrams) {
    for (int64_t ngram = 0; ngram < ngrams; ngram++) {
        place *place = &model->places[place_of(model, hashes[ngram])];
        if (place->tag != 0) {
            while (ngram-- > 0) model->places[place_of(model, hashes[ngram])].tag = 0;
            return false;
        }
        place->tag = tag_of(hashes[ngram]);
    }
    return true;
}

/* Put n-grams into an empty model and tell the number of the place of each. Those of a group come one after the other.
   Returns how many they are, or the position of a group for which no number of steps will do. */
int64_t put_ngrams(model *model, const uint64_t *hashes, int64_t ngrams, uint32_t *places) {
    for (int64_t start = 0, end; start < ngrams; start = end) {
        uint64_t group = group_of(model, hashes[start]);
        for (end = start + 1; end < ngrams && group_of(model, hashes[end]) == group;) end++;
        while (!put_group(model, hashes + start, end - start))
            if (++model->steps[group] == 0) return start;
    }
    for (int64_t ngram = 0; ngram < ngrams; ngram++) {
        uint64_t bit = filter_bit(model, hashes[ngram]);
        model->filter[bit >> 6] |= (uint64_t)1 << (bit & 63);
        places[ngram] = place_of(model, hashes[ngram]);
    }
    return ngrams;
}

/* --- scores -------------------------------------------------------------------------------------------- */

/* Count those of the n-grams that are the model's; returns how many different ones of them the text has so far, which
   before were `found`. All are asked for before the first is looked at: one by one, each would wait for memory. */
static int64_t count_known(const model *model, const uint64_t *hashes, int ngrams, int64_t found) {
    uint32_t places[WAITING + LONGEST_NGRAM];
    for (int each = 0; each < ngrams; each++) {
        places[each] = place_of(model, hashes[each]);
        __builtin_prefetch(&model->places[places[each]]);
    }
    for (int each = 0; each < ngrams; each++) {
        place *place = &model->places[places[each]];
        bool is_known = place->tag == tag_of(hashes[each]);
        model->found[found] = places[each]; /* without a branch, which would be guessed wrong too often */
        found += is_known & (place->count == 0);
        place->count += is_known;
    }
    return found;
}

/* The logit of one text; NAN when it has no n-gram of the model. */
static double logit(const model *model, const double *log_of, const uint8_t *at, const uint8_t *end) {
    uint64_t hashes[WAITING + LONGEST_NGRAM]; /* of n-grams that wait to be counted */
    int waiting = 0;
    int64_t found = 0;
    uint64_t word, last = 0, last_two = 0; /* 0: none */
    while (next_word(&at, end, &word, NULL)) {
        uint64_t two = joined(last, word), three = joined(last_two, word);
        hashes[waiting] = word;
        waiting += may_be_known(model, word);
        hashes[waiting] = two;
        waiting += (last != 0) & may_be_known(model, two);
        hashes[waiting] = three;
        waiting += (last_two != 0) & may_be_known(model, three);
        last_two = last ? two : 0;
        last = word;
        if (waiting >= WAITING) {
            found = count_known(model, hashes, waiting, found);
            waiting = 0;
        }
    }
    found = count_known(model, hashes, waiting, found);
    double product = 0, squares = 0;
    for (int64_t each = 0; each < found; each++) {
        value of = model->values[model->found[each]];
        uint32_t *count = &model->places[model->found[each]].count;
        double tf = 1 + (*count < COMMON_COUNTS ? log_of[*count] : log(*count));
        double tfidf = tf * of.idf;
        product += tfidf * of.weight;
        squares += tfidf * tfidf;
        *count = 0;
    }
    return found ? model->bias + product / sqrt(squares) : NAN;
}

/* The logit of each text, NAN where there is nothing to judge. */
void score(const model *model, const uint8_t *bytes, const int32_t *offsets, int64_t texts, double *logits) {
    double log_of[COMMON_COUNTS] = {0};
    for (int count = 1; count < COMMON_COUNTS; count++) log_of[count] = log(count);
    for (int64_t text = 0; text < texts; text++)
        logits[text] = logit(model, log_of, bytes + offsets[text], bytes + offsets[text + 1]);
}
