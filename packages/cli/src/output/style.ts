import { stripVTControlCharacters } from 'node:util';
import type { Environment } from '../config.ts';

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
export type Colour = keyof typeof CODES;
/** How an answer looks on the stream it goes to. */
export interface Style extends Readonly<Record<Colour, (text: string) => string>> {
  /** Columns that a line of a table or a view may take. */
  readonly room: () => number;
}

/** Colours when the stream is a terminal, or as NO_COLOR and FORCE_COLOR say. */
export function wantsColour(env: Environment, isTty: boolean): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR']) return env['FORCE_COLOR'] !== '0';
  return isTty && env['TERM'] !== 'dumb';
}

export function styleOf(colours: 'on' | 'off', room: () => number = () => Infinity): Style {
  const paint =
    (name: Colour) =>
    (text: string): string =>
      colours === 'off' ? text : `\u001b[${CODES[name][0]}m${text}\u001b[${CODES[name][1]}m`;
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
    room,
  };
}

/** Letters that take two columns (East Asian ones, emoji), and marks that take none. */
const DOUBLE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/gu;
const NOTHING = /\p{Mn}|[\u200b-\u200d]/gu;

/** Columns a text takes on a terminal; good enough for names, numbers and sentences. */
export function widthOf(text: string): number {
  const plain = stripVTControlCharacters(text);
  // Nearly all of it is; the rest costs more to measure.
  if (/^[ -~]*$/.test(plain)) return plain.length;
  const doubles = plain.match(DOUBLE)?.length ?? 0;
  return [...plain.replaceAll(NOTHING, '')].length + doubles;
}

// oxlint-disable-next-line no-control-regex
const ACTING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Text from elsewhere (logs, names, messages), with nothing in it that could move a cursor, hide a line or turn it around. */
export function clean(text: string): string {
  return stripVTControlCharacters(text).replaceAll(ACTING, '');
}

/** Cuts a line that is redrawn in its place to a terminal's width. Only for lines without colours. */
export function cut(text: string, columns: number): string {
  const letters = [...text];
  return letters.length <= columns ? text : `${letters.slice(0, Math.max(0, columns - 1)).join('')}…`;
}

/** A terminal's width; some say 0 when they do not know. */
export function columnsOf(sink: { columns?: number | undefined }): number {
  return sink.columns === undefined || sink.columns < 20 ? 80 : sink.columns;
}
