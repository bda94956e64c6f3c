/** Control characters, and those that turn the direction of what follows or break lines: DEL, C1, U+2028, U+202E, …. */
const UNSAFE = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** JSON in which every character that a terminal might act upon is written as `\uXXXX`; it means the same. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, escaped);
}

/** A line of the log: JSON already, whose strings may hold what hosts and others said. */
export function safeLine(line: string): string {
  return line.replace(UNSAFE, escaped);
}

/** A text from outside as it may stand in a sentence or a log: no control characters, and not endless. */
export function printable(text: string, most = 200): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return cut.replace(/[\u0000-\u001f]/g, escaped).replace(UNSAFE, escaped);
}

/** The same for text of several lines. */
export function printableLines(text: string, most = 20_000): string {
  return text
    .slice(0, most)
    .split('\n')
    .map((line) => printable(line, most))
    .join('\n');
}
