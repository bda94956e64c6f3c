/** One file, a directory when `data` is null, or a link when it is text. */
export interface TarEntry {
  path: string;
  /** As in `0o4755`. */
  mode: number;
  data: Buffer | string | null;
}

const BLOCK = 512;

/** A tar archive; everything belongs to root. Paths are shorter than 100 characters. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(blocksOf), Buffer.alloc(2 * BLOCK)]);
}

function blocksOf({ path, mode, data }: TarEntry): Buffer[] {
  const header = Buffer.alloc(BLOCK);
  const size = data instanceof Buffer ? data.length : 0;
  header.write(path, 0, 100, 'utf8');
  header.write(octal(mode, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(size, 11), 124);
  header.write(octal(0, 11), 136);
  header.write('        ', 148);
  header.write(data === null ? '5' : typeof data === 'string' ? '2' : '0', 156);
  if (typeof data === 'string') header.write(data, 157, 100, 'utf8');
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148);
  if (!(data instanceof Buffer)) return [header];
  return [header, data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)];
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}
