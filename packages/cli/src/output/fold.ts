import { stripVTControlCharacters } from 'node:util';
import { widthOf } from './style.ts';

/** Narrower than this a continued line is not indented: there would be nothing left for it. */
const LEAST = 20;
/** Where a word that is wider than its line may end: behind these, as in names, addresses and paths. */
const JOINTS = '/@,:=&?.-_';

/**
 * Folds each line that is wider than the room at its spaces; nothing is lost but the spaces it is folded at. A line goes
 * on indented by two more than it began. Text may carry colours. A line that begins with a bar quotes a log and stays as
 * it is.
 */
export function foldText(text: string, room: number): string {
  if (room === Infinity) return text;
  return text
    .split('\n')
    .flatMap((line) => (isQuote(line) ? [line] : foldLine(line, room, indentOf(line) + 2)))
    .join('\n');
}

/** One line, folded; what comes after its first line is indented by so many columns. */
export function foldLine(line: string, room: number, hang = 0): string[] {
  if (widthOf(line) <= room) return [line];
  const indent = room - hang < LEAST ? 0 : hang;
  const first = ' '.repeat(Math.min(indentOf(line), Math.max(0, room - 1)));
  const lines: string[] = [];
  let now = first;
  let gap = '';
  let filled: 'no' | 'yes' = 'no';
  const next = (): void => {
    lines.push(now);
    now = ' '.repeat(indent);
    filled = 'no';
  };
  for (const part of partsOf(line)) {
    if (part.trim() === '' && part !== '') {
      gap = part;
      continue;
    }
    let word = part;
    const wide = widthOf(word);
    const left = room - widthOf(now) - gap.length;
    // A word that has to be broken in any case may begin here.
    const breaks = wide > room - indent && left * 2 >= room;
    if (filled === 'yes' && wide > left && !breaks) next();
    else if (filled === 'yes') now += gap;
    while (widthOf(now) + widthOf(word) > room) {
      const at = jointOf(word, room - widthOf(now));
      now += at.head;
      word = at.rest;
      next();
    }
    now += word;
    filled = 'yes';
    gap = '';
  }
  if (now.trim() !== '') lines.push(now);
  return coloured(lines);
}

/** The widest word: what a column needs so that no name in it is broken. */
export function widestWord(text: string): number {
  return Math.max(0, ...text.split(/\s+/).map(widthOf));
}

function isQuote(line: string): boolean {
  return /^\s*│/.test(stripVTControlCharacters(line));
}

function indentOf(line: string): number {
  const plain = stripVTControlCharacters(line);
  return plain.length - plain.trimStart().length;
}

/** Words and the spaces between them; those at the beginning are left out. */
function partsOf(line: string): string[] {
  // oxlint-disable-next-line no-control-regex
  return line.replace(/^((?:\u001b\[[0-9;]*m)*) +/, '$1').split(/( +)/);
}

/** As much of a word as fits, up to a joint where there is one in its second half. */
function jointOf(word: string, room: number): { head: string; rest: string } {
  // oxlint-disable-next-line no-control-regex
  const atoms = word.match(/\u001b\[[0-9;]*m|[^]/gu) ?? [];
  let width = 0;
  let end = 0;
  let joint = 0;
  for (const [index, atom] of atoms.entries()) {
    const wide = widthOf(atom);
    if (width + wide > room) break;
    width += wide;
    end = index + 1;
    if (wide === 1 && JOINTS.includes(atom) && width * 2 >= room) joint = end;
  }
  const at = Math.max(1, joint === 0 ? end : joint);
  return { head: atoms.slice(0, at).join(''), rest: atoms.slice(at).join('') };
}

/** Colours end with each line and begin again on the next, so that no indent is painted. */
function coloured(lines: readonly string[]): string[] {
  let open: string[] = [];
  return lines.map((line) => {
    const again = open.join('');
    // oxlint-disable-next-line no-control-regex
    for (const code of line.match(/\u001b\[[0-9;]*m/g) ?? []) {
      const number = Number(code.slice(2, -1));
      if (number === 0) open = [];
      else if (number === 22) open = open.filter((each) => !['\u001b[1m', '\u001b[2m'].includes(each));
      else if (number === 39) open = open.filter((each) => !/\[3\dm$/.test(each));
      else open.push(code);
    }
    const indent = ' '.repeat(indentOf(line));
    const begun = again === '' ? line : `${indent}${again}${line.slice(indent.length)}`;
    return open.length === 0 ? begun : `${begun}\u001b[0m`;
  });
}
