"""What the words of tables and answers mean: one list for page and docs."""

import re
from collections.abc import Collection

from markupsafe import Markup, escape

WORDS = {
  'capability': 'one task at one level of difficulty, as examined by held-out '
  'examples.',
  'event': 'a capability of one seed that emerges within the run.',
  'emergence': 'the first of five checkpoints in a row at which the accuracy '
  'is more than halfway from chance to 1; tables have other rules as well.',
  'onset': 'where the largest change of a series begins: 10% of it are made.',
  'midpoint': 'where half of the largest change of a series is made.',
  'lead': 'midpoint of behaviour minus midpoint of the measure, in steps: '
  'positive where the measure changes before.',
  'first': 'onset and midpoint of the measure both lie before those of '
  'behaviour, by two checkpoints and more than their error.',
  'together': 'onset and midpoint of both lie within two checkpoints or their '
  'error.',
  'depends': 'which is first depends on what is called the change: its onset, '
  'its midpoint or its end.',
  'unclear': 'no change of the series stands out from its noise.',
  'order': 'the test whether a measure is first rather than after, by flipping '
  'the signs of whole seeds and of whole tasks; the larger p counts.',
  'tie over seeds': 'the test whether a seed whose geometry changes early '
  'learns early, by exchanging the behaviour of seeds.',
  'tie over tasks': 'the same over tasks, exchanged among easy and among hard '
  'ones.',
  'precedes': 'order and a tie hold, after Holm.',
  'not shown': 'a test that could have shown it does not.',
  'undecided': 'so few seeds or tasks cannot give p < 0.05, whatever they say.',
  'Holm': "Holm's correction: of many tests of a run, the chance that any of "
  'those that hold is a false alarm is 5%.',
  'tells': "a feature of the early geometry goes with when a seed gets there "
  "(Kendall's tau, by permuting seeds).",
  'floor': 'the least RankMe of the last layer.',
  'set beside': 'the study whose claims and protocol a run is compared with.',
  'sham': 'an arm in which an intervention is computed, and its strength is 0: '
  'the bits of the baseline.',
  'placebo': 'an arm whose push has the size of the intervention in each leaf '
  'and step, and a random direction.',
  'moves it': 'beside baseline and placebo alike, in one direction, p < 0.05 '
  'after Holm.',
  'stopped learning': 'the training loss had made too small a share of the '
  "baseline's fall by the end of the window.",
  'RankMe': 'effective rank of the hidden states of different inputs: over how '
  'many directions they spread.',
  'Fisher rank': 'effective rank of the gradients of single examples.',
  'gradient covariance rank': 'effective rank of the gradients of batches, '
  'their mean taken away.',
  'LLC': 'local learning coefficient: on how many parameters the loss near the '
  'weights really depends.',
  'Hessian trace': 'sum of all curvatures of the loss.',
  'loss barrier': 'how high the loss rises on the straight line from the '
  'checkpoint before.',
}  # fmt: skip

_LONGEST_FIRST = sorted(WORDS, key=len, reverse=True)
_ANY = re.compile(
  r'(?<![\w-])(' + '|'.join(map(re.escape, _LONGEST_FIRST)) + r')(?![\w-])'
)


def anchor(word: str) -> str:
  """Where a word is explained on the page."""
  return f'word-{word.replace(" ", "-").lower()}'


def explained(text: str, plain: Collection[str] = ()) -> Markup:
  """Text whose words are links to their explanation, each at its first place.

  >>> str(explained('by Holm, and Holm')).count('href')
  1

  Args:
    text: of an answer or a table.
    plain: words that are meant as everybody does.
  """
  parts, at, seen = [], 0, set(plain)
  for match in _ANY.finditer(text):
    word = match[1]
    if word in seen:
      continue
    seen.add(word)
    parts.append(escape(text[at : match.start()]))
    parts.append(
      Markup('<a class="word" href="#{}" title="{}">{}</a>').format(
        anchor(word), WORDS[word], word
      )
    )
    at = match.end()
  parts.append(escape(text[at:]))
  return Markup('').join(parts)
