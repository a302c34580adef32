"""A page opened in a browser, and what a person does there."""

import shutil
import urllib.parse

import pytest

BROWSER = shutil.which('chromium') or shutil.which('chromium-browser')
needs_browser = pytest.mark.skipif(
  not BROWSER, reason='no chromium on this machine'
)


class Opened:
  """The page in a browser, and what went wrong in it."""

  def __init__(self, browser, path, view='', width=1200, scheme='light'):
    context = browser.new_context(
      viewport={'width': width, 'height': 844}, color_scheme=scheme
    )
    self.page = context.new_page()
    self.errors, self.requests = [], []
    self.page.on('pageerror', lambda error: self.errors.append(str(error)))
    self.page.on('console', self._told)
    self.page.on('request', lambda one: self.requests.append(one.url))
    self.page.goto(path.as_uri() + view)
    self.drawn()

  def _told(self, message) -> None:
    if message.type in ('error', 'warning'):
      self.errors.append(message.text)

  def drawn(self) -> int:
    """Waits for the panels; how many there are."""
    self.wait('document.body.dataset.drawn')
    return self.page.locator('#plots .panel').count()

  def wait(self, expression: str) -> None:
    """Until it is true; within the page, where strings are not evaluated."""
    self.page.evaluate(f"""async () => {{
      const end = performance.now() + 60_000;
      while (!({expression})) {{
        if (performance.now() > end) throw Error('not so after a minute');
        await new Promise(requestAnimationFrame);
      }}
    }}""")

  def choose(self, name: str, value: str) -> int:
    """Sets a select of the form; the number of panels after it."""
    self.page.evaluate('delete document.body.dataset.drawn')
    self.page.locator(f'#view [name={name}]').select_option(value)
    return self.drawn()

  def tick(self, box: str, checked: bool) -> None:
    """Sets a box of the form."""
    self.page.evaluate('delete document.body.dataset.drawn')
    self.page.locator(f'#view {box}').set_checked(checked)
    self.drawn()

  def slide(self, name: str, value: str) -> None:
    """Sets a slider of the form."""
    self.page.evaluate('delete document.body.dataset.drawn')
    self.page.locator(f'#view [name={name}]').fill(value)
    self.drawn()

  def picture(self) -> bytes:
    """What the panels look like."""
    self.page.mouse.move(1, 1)
    return self.page.locator('#plots').screenshot(animations='disabled')

  def view(self) -> dict[str, list[str]]:
    """What the address keeps."""
    return urllib.parse.parse_qs(urllib.parse.urlsplit(self.page.url).fragment)

  def legends(self) -> str:
    """The words of all legends."""
    return ' '.join(self.page.locator('#plots ul').all_inner_texts())
