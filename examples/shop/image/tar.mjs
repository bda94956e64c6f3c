/**
 * @typedef {object} Entry a file, directory or symbolic link of an archive
 * @property {string} path without a leading slash, at most 100 bytes
 * @property {'file' | 'directory' | 'link'} type
 * @property {number} mode @property {number} [size] bytes of a file
 * @property {string} [target] of a link
 * @property {() => AsyncIterable<Buffer>} [read] a file's content, exactly `size` bytes; may be read more than once
 */

/** Yields an ustar archive. Times and owners are fixed, so the same entries give the same bytes. */
export async function* tarOf(entries) {
  for (const entry of entries) {
    yield header(entry);
    if (entry.type !== 'file') continue;
    let seen = 0;
    for await (const chunk of entry.read()) {
      seen += chunk.length;
      yield chunk;
    }
    if (seen !== entry.size)
      throw new Error(`${entry.path} changed while it was read: ${seen} bytes, not ${entry.size}`);
    if (seen % 512 !== 0) yield Buffer.alloc(512 - (seen % 512));
  }
  yield Buffer.alloc(1024);
}

/** Bytes of the archive of these entries. */
export function tarSize(entries) {
  const content = entries
    .filter((entry) => entry.type === 'file')
    .map((entry) => Math.ceil(entry.size / 512) * 512);
  return entries.length * 512 + content.reduce((sum, size) => sum + size, 0) + 1024;
}

export function fileOf(path, contents, mode = 0o644) {
  const bytes = Buffer.from(contents);
  return {
    path,
    type: 'file',
    mode,
    size: bytes.length,
    async *read() {
      if (bytes.length > 0) yield bytes;
    },
  };
}

function header({ path, type, mode, size = 0, target = '' }) {
  const name = type === 'directory' ? `${path}/` : path;
  if (Buffer.byteLength(name) > 100 || Buffer.byteLength(target) > 100)
    throw new Error(`too long for a tar: ${name}`);
  const block = Buffer.alloc(512);
  const octal = (value, width) => `${value.toString(8).padStart(width - 1, '0')}\0`;
  block.write(name, 0);
  block.write(octal(mode, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(type === 'file' ? size : 0, 12), 124);
  block.write(octal(0, 12), 136);
  block.write(' '.repeat(8), 148);
  block.write({ file: '0', link: '2', directory: '5' }[type], 156);
  block.write(target, 157);
  block.write('ustar\0' + '00', 257);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
