import { Trust } from '@berth/shared/api/oidc';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Claims } from '../../src/services/identity.ts';
import { fits, trusts } from '../../src/services/oidc-match.ts';

const word = fc.stringMatching(/^[a-z0-9._-]{1,8}$/);

test('a pattern without a star fits itself and nothing else', () => {
  fc.assert(
    fc.property(word, word, (pattern, text) => {
      expect(fits(pattern, text)).toBe(pattern === text);
      expect(fits(`${pattern}/x`, `${pattern}/x`)).toBe(true);
    }),
  );
});

test('a star never stands for a slash, so no owner but the named one is ever trusted', () => {
  const rule = Trust.parse({
    id: 'o_1',
    createdAt: 1,
    createdBy: 'x',
    issuer: 'https://issuer.example.com',
    audience: 'a',
    repository: 'example/*',
    ref: 'refs/heads/*',
    apps: ['shop'],
  });
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (owner, name) => {
      const claims: Claims = {
        iss: rule.issuer,
        aud: 'a',
        exp: 1,
        jti: 'j',
        repository: `${owner}/${name}`,
        ref: 'refs/heads/main',
      };
      expect(trusts(rule, claims)).toBe(owner === 'example' && !name.includes('/'));
      expect(trusts(rule, { ...claims, repository: `example/${name}`, ref: `refs/heads/x/${owner}` })).toBe(
        false,
      );
    }),
  );
});
