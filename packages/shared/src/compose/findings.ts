/** One thing that is wrong with, or worth knowing about, a compose file. `line` and `column` are 1-based. */
export interface Finding {
  line: number;
  column: number;
  /** Where in the document: `services.web.privileged`, `services.web.ports[0]`; empty for the whole file. */
  path: string;
  message: string;
}

/** A place in the text with the path of what stands there. Every node of the tree is one. */
export interface Spot {
  line: number;
  column: number;
  path: string;
}

/** More findings than this help nobody, and a hostile file could make millions. */
const MOST = 200;

/** Collects what a template's readers find, so that all of it is returned at once. */
export class Findings {
  readonly #errors: Finding[] = [];
  readonly #warnings: Finding[] = [];
  readonly #seen = new Set<string>();

  error(where: Spot, message: string): void {
    this.#add('error', this.#errors, where, message);
  }

  warn(where: Spot, message: string): void {
    this.#add('warning', this.#warnings, where, message);
  }

  get failed(): boolean {
    return this.#errors.length > 0;
  }

  /** Errors in the order of the file. */
  get errors(): Finding[] {
    return this.#errors.toSorted(inFileOrder);
  }

  /** Warnings in the order of the file. */
  get warnings(): Finding[] {
    return this.#warnings.toSorted(inFileOrder);
  }

  #add(kind: string, list: Finding[], where: Spot, sentence: string): void {
    // A message may quote the file; it stays one line and cannot steer a terminal.
    const message = sentence.replaceAll(/\p{Cc}+/gu, ' ');
    // An anchor brings the same line into several services; saying it once, for the first of them, is enough.
    const key = `${kind} ${where.line}:${where.column} ${message}`;
    if (list.length >= MOST || this.#seen.has(key)) return;
    this.#seen.add(key);
    list.push({ line: where.line, column: where.column, path: where.path, message });
  }
}

function inFileOrder(a: Finding, b: Finding): number {
  return a.line - b.line || a.column - b.column || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
}

/** One line per finding: `compose.yaml:12:5 services.web.privileged: …`. */
export function formatFindings(file: string, findings: readonly Finding[]): string {
  return findings
    .map((found) => {
      const path = found.path === '' ? '' : ` ${found.path}`;
      return `${file}:${found.line}:${found.column}${path}: ${found.message}`;
    })
    .join('\n');
}

/** `services` and `web` -> `services.web`; a key that is not a plain word is quoted. */
export function pathOf(parent: string, key: string): string {
  const word = /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key.slice(0, 80));
  return parent === '' ? word : `${parent}.${word}`;
}
