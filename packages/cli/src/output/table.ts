import { foldLine, widestWord } from './fold.ts';
import { widthOf, type Style } from './style.ts';

const GAP = 2;
/** A column of words is not folded to less than this, nor one of sentences to less than that: it would be hard to read. */
const WORDS = 12;
const SENTENCES = 24;
/** What is wider than this is a sentence, or several. */
const WIDE = 40;
/** Nor are sentences in the last column: below their row there is more room. */
const LAST = 30;
/** What is shorter than this needs no line of its own. */
const LEAST_BELOW = 20;

/**
 * Columns side by side, two spaces apart, no trailing blanks. Cells may carry colours. Nothing is ever cut. Where the
 * columns are too wide, the first of these that fits is taken: without the columns in which nothing is; the widest texts
 * folded at their spaces; the text of the last column below its row; each row as a list, `name  value`, with an
 * empty line between two.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[], style: Style): string {
  const room = style.room();
  const all = columnsOf(head, rows);
  if (widthOfAll(all) <= room) return sideBySide(all, rows, style);
  const columns = all.filter(({ index, holds }) => index === 0 || holds !== 'nothing');
  const fitted = fit(columns, room);
  if (fitted !== null) return sideBySide(fitted, rows, style);
  const last = columns.at(-1);
  const others = fit(columns.slice(0, -1), room);
  return last === undefined || last.width < LEAST_BELOW || others === null || others.length < 2
    ? lists(columns, rows, style)
    : sideBySide(others, rows, style, last);
}

/** Whether a table has room for all its columns as they are. */
export function fits(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  style: Pick<Style, 'room'>,
): boolean {
  return widthOfAll(columnsOf(head, rows)) <= style.room();
}

interface Column {
  readonly name: string;
  readonly index: number;
  readonly width: number;
  /** So narrow it may become. */
  readonly least: number;
  readonly holds: 'nothing' | 'something';
}

function columnsOf(head: readonly string[], rows: readonly (readonly string[])[]): Column[] {
  return head.map((name, index) => columnOf(name, index, rows, index === head.length - 1 ? LAST : WORDS));
}

function columnOf(name: string, index: number, rows: readonly (readonly string[])[], narrow: number): Column {
  let width = widthOf(name);
  let least = width;
  let holds: Column['holds'] = 'nothing';
  for (const row of rows) {
    const cell = row[index] ?? '';
    const wide = widthOf(cell);
    // Numbers and times are read at a glance, or not at all when they are folded.
    const text = /[a-z]{2}/i.test(cell);
    width = Math.max(width, wide);
    least = Math.max(
      least,
      text
        ? Math.min(wide, Math.max(widestWord(cell), wide > WIDE ? Math.max(narrow, SENTENCES) : narrow))
        : wide,
    );
    if (cell !== '') holds = 'something';
  }
  return { name, index, width, least, holds };
}

const widthOfAll = (columns: readonly Column[]): number =>
  columns.reduce((sum, { width }) => sum + width, GAP * (columns.length - 1));

/** Takes from the widest column that has something to give, until all fit; null when they cannot. */
function fit(columns: readonly Column[], room: number): Column[] | null {
  const widths = columns.map(({ width }) => width);
  for (let over = widthOfAll(columns) - room; over > 0; over -= 1) {
    let widest = -1;
    for (const [at, { least }] of columns.entries()) {
      const width = widths[at] ?? 0;
      if (width > least && width > (widths[widest] ?? 0)) widest = at;
    }
    if (widest < 0) return null;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return columns.map((column, at) => ({ ...column, width: widths[at] ?? column.width }));
}

/** The columns, and what a column of sentences says below each row. */
function sideBySide(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style,
  below?: Column,
): string {
  const line = (cells: readonly string[]): string => {
    const folded = columns.map(({ index, width }) => foldLine(cells[index] ?? '', width));
    const height = Math.max(...folded.map((cell) => cell.length));
    const lines = Array.from({ length: height }, (_, at) =>
      columns
        .map(({ width }, column) => padded(folded[column]?.[at] ?? '', width))
        .join(' '.repeat(GAP))
        .trimEnd(),
    );
    const told = below === undefined ? '' : (cells[below.index] ?? '');
    if (told !== '') lines.push(...foldLine(`${' '.repeat(GAP)}${told}`, style.room(), 2 * GAP));
    return lines.join('\n');
  };
  return [style.dim(line(head(columns, below))), ...rows.map(line)].join('\n');
}

/** The names of the columns, where their cells are. */
function head(columns: readonly Column[], below: Column | undefined): string[] {
  const cells: string[] = [];
  for (const { index, name } of below === undefined ? columns : [...columns, below]) cells[index] = name;
  return cells;
}

function padded(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(0, width - widthOf(cell)));
}

/** Each row as a list; what is empty in a row is left out of it. */
function lists(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  const width = Math.max(...columns.map(({ name }) => widthOf(name)));
  return rows
    .map((row) => {
      const pairs = columns
        .map(({ name, index }) => [name.toLowerCase().padEnd(width), row[index] ?? ''] as const)
        .filter(([, value], at) => at === 0 || value !== '');
      return fields(pairs, style);
    })
    .join('\n\n');
}

/** `name  value` lines with the values in one column; a value may have several lines, and is folded where it must be. */
export function fields(pairs: readonly (readonly [string, string])[], style: Style): string {
  const width = Math.max(...pairs.map(([name]) => widthOf(name))) + GAP;
  const room = Math.max(WORDS, style.room() - width);
  return pairs
    .map(([name, value]) => {
      const folded = value.split('\n').flatMap((line) => foldLine(line, room));
      return `${style.dim(name)}${' '.repeat(width - widthOf(name))}${folded.join(`\n${' '.repeat(width)}`)}`;
    })
    .join('\n');
}
