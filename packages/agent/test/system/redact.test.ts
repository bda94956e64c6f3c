import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redact, secretsOf } from '../../src/system/redact.ts';

const redacted = (line: string, ...environment: string[]): string => redact(line, secretsOf(environment));

describe('what leaves the host', () => {
  it.each([
    'DB_PASSWORD',
    'app_secret',
    'GITHUB_TOKEN',
    'API_KEY',
    'AWS_CREDENTIALS',
    'PRIVATE_PEM',
    'SENTRY_DSN',
  ])('does not tell the value of %s', (name) => {
    expect(redacted('login with hunter22!', `${name}=hunter22!`)).toBe(`login with [redacted ${name}]`);
  });

  it('tells the values of variables that do not look secret, and of short ones', () => {
    expect(redacted('mode production', 'NODE_ENV=production')).toBe('mode production');
    expect(redacted('pin 12345', 'PIN_TOKEN=12345')).toBe('pin 12345');
  });

  it('hides of a URL only the password, as it is written and as it is meant', () => {
    const url = 'DATABASE_URL=postgres://shop:p%40ssw0rd@db:5432/shop';
    expect(redacted('cannot reach postgres://shop:p%40ssw0rd@db:5432/shop', url)).toBe(
      'cannot reach postgres://shop:[redacted DATABASE_URL]@db:5432/shop',
    );
    expect(redacted('wrong password p@ssw0rd for shop', url)).toBe(
      'wrong password [redacted DATABASE_URL] for shop',
    );
    expect(redacted('GET http://db:5432/shop', 'API_URL=http://db:5432/shop')).toBe(
      'GET http://db:5432/shop',
    );
  });

  it('hides the longer of two values that overlap as a whole', () => {
    expect(redacted('abcdefghij', 'A_KEY=abcdef', 'B_KEY=abcdefghij')).toBe('[redacted B_KEY]');
  });

  it('hides each line of a value that has several', () => {
    const key = 'TLS_KEY=-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----';
    expect(redacted('-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----', key)).toBe(
      '[redacted TLS_KEY]\n[redacted TLS_KEY]\n[redacted TLS_KEY]',
    );
  });

  it('takes a value literally, whatever characters it has', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[!-~]{6,40}$/), fc.string(), fc.string(), (value, before, after) => {
        const line = redacted(`${before}${value}${after}`, `SOME_SECRET=${value}`);
        expect(line.replaceAll('[redacted SOME_SECRET]', '')).not.toContain(value);
        expect(line).toContain('[redacted SOME_SECRET]');
      }),
    );
  });
});
