import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { placeText, SecretFile, SecretName, SecretReference } from '../../src/domain/secret.ts';
import { rawPublic } from '../../src/secrets/hpke.ts';
import { openAtHost, sealingFact, sealingKeyOf, sealingText, sealToHost } from '../../src/secrets/sealed.ts';

const HOST = 'h_aaaaaaaaaaaaaaaa';
const place = { tenant: 'acme', name: 'KEY', version: 2, id: '0123456789abcdef' };
const identity = generateKeyPairSync('ed25519');
const publicIdentity = identity.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
const sealing = generateKeyPairSync('x25519').privateKey;
const shown = rawPublic(sealing).toString('base64');
const signed = (host: string, key: string): string =>
  sealingFact(key, sign(null, Buffer.from(sealingText(host, key)), identity.privateKey).toString('base64'));

describe('a value that is sealed to a host', () => {
  const box = sealToHost(rawPublic(sealing), HOST, place, Buffer.from('v'));

  test('opens there, as what it is', () => {
    expect(String(openAtHost(sealing, HOST, place, box))).toBe('v');
  });

  test.each([
    ['another tenant', HOST, { ...place, tenant: 'globex' }],
    ['another name', HOST, { ...place, name: 'OTHER' }],
    ['another version', HOST, { ...place, version: 3 }],
    ['another id', HOST, { ...place, id: 'f'.repeat(16) }],
    ['another host', 'h_bbbbbbbbbbbbbbbb', place],
  ])('does not open as that of %s', (_what, host, of) => {
    expect(() => openAtHost(sealing, host, of, box)).toThrow();
  });
});

describe('the key that a host shows', () => {
  test('counts when the host has signed it', () => {
    expect(sealingKeyOf(signed(HOST, shown), HOST, publicIdentity)?.toString('base64')).toBe(shown);
  });

  test.each([
    ['nothing', undefined],
    ['no signature', shown],
    ['another host’s signature', signed('h_bbbbbbbbbbbbbbbb', shown)],
    ['a signature of another key', `${shown}.${signed(HOST, 'AAAA').split('.')[1]}`],
    ['a key that is none', signed(HOST, 'AAAA')],
    ['garbage', '!.?.!'],
  ])('does not count with %s', (_what, fact) => {
    expect(sealingKeyOf(fact, HOST, publicIdentity)).toBeNull();
    expect(sealingKeyOf(fact, HOST, 'no key')).toBeNull();
  });
});

describe('names and references', () => {
  test.each(['STRIPE_KEY', 'tls.key', 'a-b', '_x', '0'])('%s is a name', (name) => {
    expect(SecretName.safeParse(name).success).toBe(true);
  });
  test.each([
    '',
    '.',
    '..',
    '../x',
    'a/b',
    'a b',
    'a\n',
    '\u001b[31m',
    '-x',
    '.hidden',
    'x'.repeat(129),
    'ä',
  ])('%j is none', (name) => {
    expect(SecretName.safeParse(name).success).toBe(false);
  });
  test.each([
    'aws-ssm:/prod/db',
    'aws-ssm:plain',
    'aws-secretsmanager:prod/db',
    'aws-secretsmanager:arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-AbCdEf#password@AWSPREVIOUS',
  ])('%s is a reference', (text) => {
    expect(SecretReference.safeParse(text).success).toBe(true);
  });
  test.each(['aws-ssm:', 'vault:/x', 'aws-secretsmanager:a b', 'aws-ssm:/x\n', 'aws-secretsmanager:x#'])(
    '%j is none',
    (text) => {
      expect(SecretReference.safeParse(text).success).toBe(false);
    },
  );
  test('what a value is bound to is another text for any other place', () => {
    const texts = [
      placeText('a', place),
      placeText('b', place),
      placeText('a', { ...place, tenant: 'acme","KEY' }),
      placeText('a', { ...place, name: 'KEY",2' }),
      placeText('a', place, ['h']),
    ];
    expect(new Set(texts).size).toBe(texts.length);
  });
});

describe('where a host is told to put a file', () => {
  const file = { name: 'KEY', version: 1, id: '0123456789abcdef', uid: 0, gid: 0, mode: '0444' };
  test.each(['/run/secrets/KEY', '/run/secrets/a/b.pem', '/etc/tls/..key'])('%s is a place', (target) => {
    expect(SecretFile.safeParse({ ...file, target }).success).toBe(true);
  });
  // Whoever holds the coordinator writes what he likes into desired state; it must lead nowhere but into the set.
  test.each([
    '/run/secrets/../../etc/cron.d/x',
    '/run/secrets/..',
    '/run/secrets/./x',
    '/run//secrets',
    '/run/secrets/',
    'run/secrets/x',
    '/',
    '/a\nb',
    '/a\0b',
    '/a:b',
  ])('%j is none', (target) => {
    expect(SecretFile.safeParse({ ...file, target }).success).toBe(false);
  });
  test.each(['4755', '7777', '1777', '999', '44'])('the mode %s is none', (mode) => {
    expect(SecretFile.safeParse({ ...file, target: '/run/secrets/KEY', mode }).success).toBe(false);
  });
});
