// Everything that is not printable, and the escape sequences that terminals obey.
// eslint-disable-next-line no-control-regex
const ESCAPES = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])/g;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/** One printable line of at most `max` characters. */
export function cleanLine(text: string, max: number): string {
  const line = text.replace(ESCAPES, '').replace(CONTROLS, ' ').trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

/** The last `count` lines that say something, each cleaned. */
export function lastLines(text: string, count: number, maxLength = 1000): string[] {
  const lines: string[] = [];
  for (const raw of text.split(/\r\n|\n|\r/)) {
    const line = cleanLine(raw, maxLength);
    if (line !== '') lines.push(line);
  }
  return lines.slice(-count);
}

/** Bytes as whole MiB for a person. */
export function mib(bytes: number): string {
  return `${Math.round(bytes / (1024 * 1024))} MiB`;
}
