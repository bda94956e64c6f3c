import Docker from 'dockerode';
import { expect, test } from 'vitest';
import { outputOf } from '../../src/system/docker-output.ts';

const { modem } = new Docker({ socketPath: '/nowhere' });

function frame(kind: number, text: string): Buffer {
  const head = Buffer.from([kind, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, Buffer.from(text)]);
}

async function* chunks(...parts: Buffer[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield await Promise.resolve(part);
}

test('both streams become one text in the order in which they came', async () => {
  const bytes = Buffer.concat([frame(1, 'out ü\n'), frame(2, 'err\n'), frame(1, 'again')]);
  expect(await outputOf(modem, chunks(bytes), true, 1_000)).toBe('out ü\nerr\nagain');
  const torn = [bytes.subarray(0, 3), bytes.subarray(3, 14), bytes.subarray(14)];
  expect(await outputOf(modem, chunks(...torn), true, 1_000)).toBe('out ü\nerr\nagain');
});

test('a terminal’s text stays as it is', async () => {
  expect(await outputOf(modem, chunks(Buffer.from('plain '), Buffer.from('text')), false, 1_000)).toBe(
    'plain text',
  );
});

test('text without frames stays as it is also where frames were to be', async () => {
  expect(await outputOf(modem, chunks(Buffer.from('plain text without frames')), true, 1_000)).toBe(
    'plain text without frames',
  );
});

test('what is longer than the limit is read to its end and cut', async () => {
  let ended = false;
  async function* endless(): AsyncGenerator<Buffer> {
    for (let count = 0; count < 100; count += 1) yield await Promise.resolve(frame(1, 'x'.repeat(1_000)));
    ended = true;
  }
  expect(await outputOf(modem, endless(), true, 2_500)).toBe('x'.repeat(2_500));
  expect(ended).toBe(true);
});

test('a program that writes single bytes does not exhaust the stack', async () => {
  const bytes = Buffer.concat(Array.from({ length: 10_000 }, () => frame(1, 'x')));
  expect(await outputOf(modem, chunks(bytes), true, 20_000)).toBe('x'.repeat(10_000));
});

test('a stream that breaks rejects', async () => {
  async function* broken(): AsyncGenerator<Buffer> {
    yield await Promise.resolve(frame(1, 'x'));
    throw new Error('gone');
  }
  await expect(outputOf(modem, broken(), true, 100)).rejects.toThrow('gone');
});
