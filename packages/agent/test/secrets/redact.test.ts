import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KnownSecrets } from '../../src/system/known-secrets.ts';
import { formsOf, longestFirst, redact } from '../../src/system/redact.ts';

const hidden = (line: string, value: string | Buffer): string =>
  redact(line, longestFirst(formsOf('KEY', Buffer.from(value as string))));

test('a known value is hidden in every form in which it is likely to be printed', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 12, maxLength: 40, unit: 'binary' }), (value) => {
      fc.pre(/\S{12}/.test(value));
      const bytes = Buffer.from(value);
      const text = bytes.toString();
      for (const form of [
        text,
        bytes.toString('base64'),
        bytes.toString('base64url'),
        bytes.toString('hex'),
        bytes.toString('hex').toUpperCase(),
        encodeURIComponent(text.toWellFormed()),
        JSON.stringify(text),
        Buffer.from(`${text}\n`).toString('base64'),
      ]) {
        const out = hidden(`before ${form} after`, value);
        expect(out).toContain('[redacted KEY]');
        expect(out).not.toContain(form);
        expect(out).toMatch(/^before .* after$/s);
      }
    }),
    { numRuns: 100 },
  );
});

test('each line of a value of several lines is hidden, and each line of its base64', () => {
  const pem = `-----BEGIN KEY-----\n${'QUJD'.repeat(30)}\n-----END KEY-----\n`;
  expect(hidden(`it says ${'QUJD'.repeat(30)}.`, pem)).toBe('it says [redacted KEY].');
  const folded =
    Buffer.from(pem)
      .toString('base64')
      .match(/.{1,76}/g) ?? [];
  for (const line of folded) expect(hidden(line, pem)).toBe('[redacted KEY]');
});

test('what is too short to be told from other words is left', () => {
  expect(hidden('yes and no', 'no')).toBe('yes and no');
  expect(hidden('pin 4711', '4711')).toBe('pin [redacted KEY]');
});

test('nothing is known before somebody knows it, and of no tenant', async () => {
  const known = new KnownSecrets();
  expect(await known.of('acme')).toEqual([]);
  known.listenTo((tenant) => Promise.resolve([{ name: 'KEY', value: Buffer.from(`of-${tenant}`) }]));
  expect(await known.of(undefined)).toEqual([]);
  expect((await known.of('acme')).map((each) => each.value)).toContain('of-acme');
});
