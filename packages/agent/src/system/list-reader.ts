import type { ListEntry } from './docker-types.ts';

/** Each entry of Docker's list begins so. A quote inside a string is escaped, so no label can hold these bytes. */
const START = '{"Id":"';

/**
 * Reads one container list after the other. Between two lists hardly anything changes, so an entry whose text is the
 * same as the last time is not parsed again: a sweep over 1,000 containers then makes next to no garbage.
 */
export class ListReader {
  readonly #parse: (text: string) => ListEntry[];
  #known = new Map<string, { text: string; entry: ListEntry }>();

  /** `parse` reads a whole list, and throws what is no list. */
  constructor(parse: (text: string) => ListEntry[]) {
    this.#parse = parse;
  }

  read(text: string): ListEntry[] {
    const pieces = piecesOf(text);
    if (pieces === null) return this.#parse(text);
    const next = new Map<string, { text: string; entry: ListEntry }>();
    const entries: ListEntry[] = [];
    try {
      for (const piece of pieces) {
        const id = piece.slice(START.length, piece.indexOf('"', START.length));
        const before = this.#known.get(id);
        const entry = before?.text === piece ? before.entry : this.#parse(`[${piece}]`)[0];
        // Entries of another shape are left out, as in a list that is read as a whole.
        if (entry === undefined) continue;
        next.set(id, { text: piece, entry });
        entries.push(entry);
      }
    } catch {
      // The pieces are no entries: Docker writes its lists otherwise than we know.
      this.#known.clear();
      return this.#parse(text);
    }
    this.#known = next;
    return entries;
  }
}

/** The texts of a list's entries; null when it is not laid out as Docker lays it out. */
function piecesOf(text: string): string[] | null {
  const trimmed = text.trim();
  if (trimmed === '[]') return [];
  if (!trimmed.startsWith(`[${START}`) || !trimmed.endsWith('}]')) return null;
  const pieces: string[] = [];
  let from = 1;
  for (;;) {
    const next = trimmed.indexOf(START, from + START.length);
    if (next < 0) break;
    if (trimmed[next - 1] !== ',') return null;
    pieces.push(trimmed.slice(from, next - 1));
    from = next;
  }
  pieces.push(trimmed.slice(from, -1));
  return pieces;
}
