import { expect, test } from 'vitest';
import { parseChallenge } from '../../src/registry/challenge.ts';

const REALM = 'https://auth.example/token';

test.each([
  [
    `Bearer realm="${REALM}",service="registry.example",scope="repository:a/b:pull"`,
    { scheme: 'bearer', realm: REALM, service: 'registry.example', scope: 'repository:a/b:pull' },
  ],
  [`bearer  realm="${REALM}"`, { scheme: 'bearer', realm: REALM, service: null, scope: null }],
  [
    `Bearer realm="${REALM}",scope="repository:a:pull,push", error="invalid_token"`,
    { scheme: 'bearer', realm: REALM, service: null, scope: 'repository:a:pull,push' },
  ],
  ['Basic realm="x"', { scheme: 'basic' }],
  ['Basic', { scheme: 'basic' }],
  [
    `Basic realm="x", Bearer realm="${REALM}",service=plain`,
    { scheme: 'bearer', realm: REALM, service: 'plain', scope: null },
  ],
  ['Bearer service="x"', null],
  ['Bearer realm="not an address"', null],
  ['Digest realm="x", nonce="y"', null],
  ['"', null],
  ['', null],
  [null, null],
])('%s is read as %j', (header, challenge) => {
  expect(parseChallenge(header)).toEqual(challenge);
});
