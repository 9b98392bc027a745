// Collects the edits that are ticked. A picture may stand in two parts of the page: its command counts once.
const boxes = [...document.querySelectorAll('[data-edit]')];
const [bar, chosen, copy, commands, afterwards] =
  ['bar', 'chosen', 'copy', 'commands', 'afterwards'].map((id) => document.getElementById(id));

function update() {
  const edits = [...new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.edit))];
  commands.textContent = edits.join('\n');
  commands.hidden = edits.length === 0;
  chosen.textContent = edits.length === 1 ? '1 edit chosen.' : `${edits.length} edits chosen.`;
  bar.hidden = edits.length === 0;
}

copy.addEventListener('click', async () => {
  const text = `${commands.textContent}\n${afterwards.textContent}\n`;
  try {
    await navigator.clipboard.writeText(text);
    chosen.textContent = 'Copied.';
  } catch { // a browser may forbid it to a file: then the text is selected, to be copied by hand
    location.hash = 'edits';
    getSelection().selectAllChildren(document.getElementById('edits'));
    chosen.textContent = 'Selected: copy with Ctrl+C.';
  }
});
for (const box of boxes) box.addEventListener('change', update);
update();
