import { describe, expect, test } from 'vitest';
import type { Egress } from '../../src/domain/egress.ts';
import { parseTemplate } from '../../src/compose/template.ts';
import { renderTenant } from '../../src/compose/render.ts';

const withEgress = (text: string): string =>
  `services: { web: { image: "a:1" } }\nx-berth:\n  egress: ${text}\n`;

function rendered(text: string, variables: Record<string, string> = {}): Egress | undefined | string[] {
  const read = parseTemplate({ text: withEgress(text) });
  if (!read.ok) return read.errors.map((each) => each.message);
  const made = renderTenant(read.template, variables);
  return made.ok ? made.spec.egress : made.errors.map((each) => each.message);
}

describe('x-berth.egress', () => {
  test.each<[string, Egress | undefined]>([
    ['internet', undefined],
    ['public', 'public'],
    ['none', 'none'],
    ['[10.20.0.0/16, 192.0.2.7]', ['10.20.0.0/16', '192.0.2.7/32']],
  ])('%s', (text, expected) => {
    expect(rendered(text)).toEqual(expected);
  });

  test('may come from a variable', () => {
    expect(rendered('"${EGRESS:-none}"')).toBe('none');
    expect(rendered('"${EGRESS:-none}"', { EGRESS: 'public' })).toBe('public');
    expect(rendered('["${DB}/32"]', { DB: '10.1.2.3' })).toEqual(['10.1.2.3/32']);
  });

  test.each([
    ['all', /one of internet, public, none/],
    ['[]', /write none/],
    ['[10.20.0.1/16]', /no bits set behind the prefix/],
    ['["10.0.0.0/8; accept"]', /IPv4 range/],
    ['["2001:db8::/32"]', /no IPv6/],
    ['[169.254.169.254/32]', /never open to tenants/],
    ['["example.com"]', /IPv4 range/],
    ['["10.0.0.0/8\\n"]', /IPv4 range/],
    ['{ cidrs: [10.0.0.0/8] }', /internet, public, none/],
  ])('refuses %s with a sentence', (text, sentence) => {
    const found = rendered(text);
    expect(Array.isArray(found) ? found.join('\n') : found).toMatch(sentence);
  });

  test('belongs to the whole tenant, and is pointed there', () => {
    const text = 'services: { web: { image: "a:1", x-berth: { egress: none } } }';
    const read = parseTemplate({ text });
    expect(read.ok ? [] : read.errors.map((each) => each.message).join()).toMatch(/top-level x-berth/);
  });
});
