import { describe, expect, test } from 'vitest';
import { renderTenant } from '../../src/compose/render.ts';
import { parseTemplate } from '../../src/compose/template.ts';
import type { SecretRef } from '../../src/domain/secret.ts';

const ref = (name: string, version = 1): SecretRef => ({ name, version, id: '0123456789abcdef' });
const SECRETS = new Map([
  ['STRIPE_KEY', ref('STRIPE_KEY', 3)],
  ['TLS', { ...ref('TLS'), from: 'aws-ssm:/tls' }],
]);
const TOP = 'secrets: { stripe: { name: STRIPE_KEY }, TLS: , OTHER: { external: true } }';

const file = (service: string, top = TOP): string => `
${top}
services:
  web:
    image: shop
    x-berth: { route: { port: 80 } }
${service}
`;

function errorsOf(text: string): string[] {
  const parsed = parseTemplate({ text });
  return parsed.ok ? [] : parsed.errors.map((each) => `${each.line} ${each.path}: ${each.message}`);
}

function specOf(text: string, secrets = SECRETS) {
  const parsed = parseTemplate({ text });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return renderTenant(parsed.template, {}, secrets);
}

describe('secrets in a Compose file', () => {
  test('are files of the tenant’s newest version, in the short and the long syntax', () => {
    const rendered = specOf(
      file(
        '    secrets:\n      - stripe\n      - { source: TLS, target: tls.key, uid: "103", gid: 104, mode: 0440 }\n      - { source: TLS, target: /etc/tls/key, mode: 0o400 }',
      ),
    );
    if (!rendered.ok) throw new Error(JSON.stringify(rendered.errors));
    expect(rendered.spec.services[0]?.secrets).toEqual([
      { ...ref('STRIPE_KEY', 3), target: '/run/secrets/stripe', uid: 0, gid: 0, mode: '0444' },
      {
        ...ref('TLS'),
        from: 'aws-ssm:/tls',
        target: '/run/secrets/tls.key',
        uid: 103,
        gid: 104,
        mode: '0440',
      },
      { ...ref('TLS'), from: 'aws-ssm:/tls', target: '/etc/tls/key', uid: 0, gid: 0, mode: '0400' },
    ]);
    expect(rendered.spec.services[0]?.secretEnv).toBeUndefined();
  });

  test('are variables only where x-berth asks for it', () => {
    const text = file('').replace(
      'route: { port: 80 }',
      'route: { port: 80 }, secrets: { env: { KEY: stripe } }',
    );
    const rendered = specOf(text);
    expect(rendered.ok && rendered.spec.services[0]?.secretEnv).toEqual({ KEY: ref('STRIPE_KEY', 3) });
    const list = specOf(text.replace('{ KEY: stripe }', '[TLS]'));
    expect(list.ok && Object.keys(list.spec.services[0]?.secretEnv ?? {})).toEqual(['TLS']);
  });

  test('that the tenant does not have are named with their line', () => {
    const rendered = specOf(file('    secrets: [OTHER]'));
    expect(rendered.ok ? [] : rendered.errors).toMatchObject([
      {
        line: 7,
        path: 'services.web.secrets[0]',
        message: expect.stringMatching(/secret `OTHER` has no value/),
      },
    ]);
  });

  test('leave a template without them as it was', () => {
    const rendered = specOf(file('', ''));
    expect(rendered.ok && Object.keys(rendered.spec.services[0] ?? {})).not.toContain('secrets');
  });

  test.each([
    ['    secrets: [nobody]', /`nobody` is not declared under the top-level secrets/],
    ['    secrets: [{ target: x }]', /has no source/],
    ['    secrets: [{ source: stripe, target: ../x }]', /without empty parts, \. or \.\./],
    ['    secrets: [{ source: stripe, target: /run/secrets/../../etc/x }]', /without empty parts/],
    ['    secrets: [{ source: stripe, target: /proc/self }]', /no secret can be put there/],
    ['    secrets: [{ source: stripe, target: /run/secrets }]', /no secret can be put there/],
    ['    secrets: [{ source: stripe, target: "a\\nb" }]', /without empty parts/],
    ['    secrets: [{ source: stripe, mode: 999 }]', /an octal mode/],
    ['    secrets: [{ source: stripe, uid: root }]', /a whole number/],
    ['    secrets: [stripe, { source: TLS, target: stripe }]', /same target/],
    ['    secrets: stripe', /must be a list/],
  ])('%s is refused', (service, words) => {
    expect(errorsOf(file(service)).join('\n')).toMatch(words);
  });

  test.each([
    ['secrets: { a: { content: hunter2 } }', /refused because a value that stands in the file is no secret/],
    ['secrets: { a: { driver: x } }', /no secret drivers/],
    ['secrets: { "a/b": }', /is not the name of a secret/],
    ['secrets: { a: { name: "../x" } }', /is not the name of a secret/],
    ['secrets: [a]', /must be a mapping/],
    ['secrets: { a: { nane: x } }', /did you mean `name`/],
  ])('%s is refused', (top, words) => {
    expect(errorsOf(file('', top)).join('\n')).toMatch(words);
  });

  test.each([
    ['{ "A-B": stripe }', /cannot be the name of an environment variable/],
    ['{ A: nobody }', /is not declared/],
    ['{ HOME: stripe }', /stands under environment as well/],
  ])('x-berth.secrets.env %s is refused', (env, words) => {
    const text = file('    environment: { HOME: /x }').replace(
      'route: { port: 80 }',
      `route: { port: 80 }, secrets: { env: ${env} }`,
    );
    expect(errorsOf(text).join('\n')).toMatch(words);
  });

  test('file and environment of Compose have no effect, and say so', () => {
    const parsed = parseTemplate({ text: file('', 'secrets: { a: { file: ./a }, b: { environment: B } }') });
    expect(parsed.warnings.map((each) => each.message).join('\n')).toMatch(
      /has no effect: the value is the tenant’s own.*\n.*has no effect: the value is the tenant’s own/,
    );
  });
});
