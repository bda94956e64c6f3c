import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A value that is meant to be found wherever it is written down: all its forms hold a word that nothing else has. */
export interface Planted {
  readonly name: string;
  readonly value: Buffer;
  /** Every form in which it, or the middle of it, can lie somewhere. */
  readonly forms: readonly Buffer[];
}

/** `around` stands before and behind the unmistakable word. */
export function plant(name: string, around: (word: string) => string): Planted {
  const word = `PLANT${randomBytes(9).toString('hex')}`;
  return { name, value: Buffer.from(around(word)), forms: formsOf(word) };
}

function formsOf(word: string): Buffer[] {
  const bytes = Buffer.from(word);
  const hex = bytes.toString('hex');
  // In base64 a word looks different at each of three places; its first and last characters depend on what is beside it.
  const base64 = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    return text.slice(before === 0 ? 0 : before + 1, -2);
  });
  // What escapes for a URL, JSON or a shell leaves letters and digits as they are.
  return [word, word.toLowerCase(), hex, hex.toUpperCase(), ...base64].map((text) => Buffer.from(text));
}

/** The names of those of which some form is in these bytes. */
export function foundIn(bytes: Buffer | string, planted: readonly Planted[]): string[] {
  const text = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  return planted.filter((each) => each.forms.some((form) => text.includes(form))).map((each) => each.name);
}

/** `path: name` of every file below a directory in which one of them is, or whose name holds one. */
export function foundBelow(
  dir: string,
  planted: readonly Planted[],
  skip: (path: string) => boolean,
): string[] {
  const found: string[] = [];
  for (const name of namesIn(dir)) {
    const path = join(dir, name);
    if (skip(path)) continue;
    found.push(...foundIn(name, planted).map((each) => `the name ${path}: ${each}`));
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory() === true) found.push(...foundBelow(path, planted, skip));
    else if (stat?.isFile() === true)
      found.push(...foundIn(bytesOf(path), planted).map((each) => `${path}: ${each}`));
  }
  return found;
}

/** Looks at the arguments and the environment of processes again and again, also of those that live for an instant. */
export function watchProcesses(
  planted: readonly Planted[],
  isOurs: (argv: string, pid: number) => boolean,
): { looks(): number; stop(): string[] } {
  const found = new Set<string>();
  let looks = 0;
  const look = (): void => {
    looks += 1;
    for (const pid of namesIn('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      const argv = bytesOf(`/proc/${pid}/cmdline`).toString().replaceAll('\0', ' ');
      for (const name of foundIn(argv, planted)) found.add(`the arguments of ${argv.slice(0, 80)}: ${name}`);
      if (!isOurs(argv, Number(pid))) continue;
      for (const name of foundIn(bytesOf(`/proc/${pid}/environ`), planted))
        found.add(`the environment of ${argv.slice(0, 80)}: ${name}`);
    }
  };
  const timer = setInterval(look, 40);
  return {
    looks: () => looks,
    stop() {
      clearInterval(timer);
      look();
      return [...found];
    },
  };
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return []; // it has gone
  }
}

function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0); // it has gone, or is no longer ours to read
  }
}
