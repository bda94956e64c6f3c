import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wantedEnvFiles } from '../../src/compose/environment.ts';
import type { Finding } from '../../src/compose/findings.ts';
import { IGNORED_IN_SERVICE } from '../../src/compose/ignored.ts';
import { REFUSED_IN_SERVICE } from '../../src/compose/refused.ts';
import { renderTenant } from '../../src/compose/render.ts';
import { parseTemplate } from '../../src/compose/template.ts';
import { TenantSpec } from '../../src/domain/spec.ts';
import { digestOf } from '../../src/domain/digest.ts';
import { PLAUSIBLE_VARIABLES, plausibleDocument } from './plausible.ts';
import { ENV_FILES, fixture, fixtureNames } from './support.ts';

const FIXTURES = fixtureNames().map((name) => fixture(name));

function wellFormed(findings: readonly Finding[]): boolean {
  return findings.every(
    (one) => one.line >= 1 && one.column >= 1 && one.message.length > 0 && one.message.length < 1500,
  );
}

/** Parses and renders, and returns what is wrong with the answers: a spec that holds or findings that name a place. */
function problems(text: string, variables: Record<string, string> = {}): string[] {
  wantedEnvFiles(text);
  const result = parseTemplate({ text, envFiles: ENV_FILES });
  if (!wellFormed(result.warnings)) return ['a warning of the check has no place'];
  if (!result.ok)
    return result.errors.length > 0 && wellFormed(result.errors) ? [] : ['refused without a reason'];
  const rendered = renderTenant(result.template, variables);
  const found: string[] = [];
  if (!wellFormed(rendered.warnings)) found.push('a warning of the rendering has no place');
  if (rendered.ok) {
    if (!TenantSpec.safeParse(rendered.spec).success) found.push('the spec does not hold');
  } else if (rendered.errors.length === 0 || !wellFormed(rendered.errors)) {
    found.push('not rendered without a reason');
  }
  if (digestOf(renderTenant(result.template, variables)) !== digestOf(rendered))
    found.push('rendered differently the second time');
  return found;
}

const KEYS = [
  ...'image command entrypoint environment env_file healthcheck depends_on volumes tmpfs deploy mem_limit cpus'.split(
    ' ',
  ),
  ...'pids_limit scale stop_grace_period stop_signal user group_add init logging labels working_dir hostname tty'.split(
    ' ',
  ),
  ...'shm_size ulimits sysctls extra_hosts restart pull_policy read_only cap_add security_opt ports profiles'.split(
    ' ',
  ),
  ...'network_mode networks x-berth x-other __proto__ constructor'.split(' '),
  ...'test interval condition required target source type resources limits reservations memory route port release'.split(
    ' ',
  ),
  ...REFUSED_IN_SERVICE.map((row) => row.key),
  ...IGNORED_IN_SERVICE.map((row) => row.key),
];

const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom<unknown>(
      null,
      true,
      false,
      0,
      -1,
      1.5,
      '',
      'a',
      'web',
      '10s',
      '64m',
      '/data',
      'a:/b',
      '${A}',
      '${A:-80}',
      '$',
      '${',
      '80:80',
    ),
    fc.string(),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), tie('value'), { maxKeys: 4 }),
  ),
}));

const service = fc
  .dictionary(fc.constantFrom(...KEYS), anyValue, { maxKeys: 8 })
  .map((body) => ({ image: 'shop:1', ...body }));

describe('whatever is thrown at it', () => {
  it('random text never throws', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab:-[]{}&*!|>\'"#%@`,? \n\t$<0.~'), maxLength: 300 }),
        (text) => {
          expect(problems(text)).toEqual([]);
        },
      ),
    );
  });

  it('random documents never throw', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('web', 'db', 'a'), service),
        anyValue,
        anyValue,
        (services, volumes, berth) => {
          expect(problems(JSON.stringify({ services, volumes, 'x-berth': berth }), { A: '1' })).toEqual([]);
        },
      ),
      { numRuns: 250 },
    );
  });

  it('compose files from the wild, with pieces cut out, doubled and put elsewhere, never throw', () => {
    const change = fc.record({
      at: fc.nat(5000),
      length: fc.nat(60),
      insert: fc.oneof(
        fc.constantFrom(
          '',
          '\n',
          '  ',
          ': ',
          '- ',
          '*app',
          '&app ',
          '<<: ',
          '${',
          '}',
          '$$',
          '"',
          '[',
          '{',
          '!!int ',
          '\t',
          '\0',
        ),
        fc.string(),
      ),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...FIXTURES),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (text, changes) => {
          let mutated = text;
          for (const { at, length, insert } of changes) {
            const from = at % (mutated.length + 1);
            mutated = mutated.slice(0, from) + insert + mutated.slice(from + length);
          }
          expect(problems(mutated, { DB_PASSWORD: 'x', RELEASE: '1' })).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('good files with single words replaced by others never throw', () => {
    const words = [
      '0',
      '-1',
      'null',
      'true',
      '[]',
      '{}',
      '""',
      'web',
      '/x',
      '1g',
      '10s',
      'a:/b',
      '"${NONE}"',
      '"${NONE:-9}"',
      '"$${"',
      '&a b',
      '*a',
      '1e9',
      '0x10',
      '.inf',
    ];
    fc.assert(
      fc.property(plausibleDocument, fc.nat(400), fc.constantFrom(...words), (document, at, word) => {
        const text = JSON.stringify(document, null, 1);
        const places = [...text.matchAll(/(?<=: |^ +)("[^"]*"|[0-9]+|true|null)(?=,?$)/gm)];
        const place = places[at % places.length];
        if (place === undefined) return;
        const changed = text.slice(0, place.index) + word + text.slice(place.index + place[0].length);
        expect(problems(changed, PLAUSIBLE_VARIABLES)).toEqual([]);
      }),
      { numRuns: 250 },
    );
  });

  it('variables with any value never throw, and never reach a finding', () => {
    const secret = 'S3CR3T-7f1e';
    const value = fc
      .oneof(
        fc.string(),
        fc.constantFrom('', '\0', 'a b', '/etc:/etc', '=', ':', '1g', '../..', '${X}', 'berth.x'),
      )
      .map((text) => secret + text);
    fc.assert(
      fc.property(fc.constantFrom(...FIXTURES), fc.infiniteStream(value), (text, values) => {
        // Every plain word in a value becomes a variable, so that each reader meets one.
        let names = 0;
        const variables: Record<string, string> = {};
        const filled = text.replaceAll(
          /(?<=[:-] )["']?[A-Za-z0-9][A-Za-z0-9._:/-]*["']?(?=$|[,\]}])/gm,
          (word) => {
            if (names % 3 !== 0) {
              names += 1;
              return word;
            }
            const name = `V${names}`;
            names += 1;
            variables[name] = String(values.next().value);
            return `"\${${name}}"`;
          },
        );
        expect(problems(filled, variables)).toEqual([]);
        const result = parseTemplate({ text: filled, envFiles: ENV_FILES });
        if (!result.ok) return;
        const rendered = renderTenant(result.template, variables);
        expect(JSON.stringify([rendered.warnings, rendered.ok ? [] : rendered.errors])).not.toContain(secret);
      }),
      { numRuns: 120 },
    );
  });

  it('a plausible file that is taken renders to a spec that holds, whatever the order of its keys', () => {
    let rendered = 0;
    fc.assert(
      fc.property(plausibleDocument, (document) => {
        const text = JSON.stringify(document);
        expect(problems(text, PLAUSIBLE_VARIABLES)).toEqual([]);
        const result = parseTemplate({ text, envFiles: ENV_FILES });
        if (!result.ok) return;
        const first = renderTenant(result.template, PLAUSIBLE_VARIABLES);
        const turned = { ...document, services: reversed(document.services) };
        const second = parseTemplate({ text: JSON.stringify(reversed(turned)), envFiles: ENV_FILES });
        expect(second.ok).toBe(true);
        if (!first.ok || !second.ok) return;
        const again = renderTenant(second.template, PLAUSIBLE_VARIABLES);
        expect(again.ok ? byName(again.spec) : again.errors).toEqual(byName(first.spec));
        expect(digestOf(first.spec)).toBe(digestOf(JSON.parse(JSON.stringify(first.spec))));
        rendered += 1;
      }),
      { numRuns: 250 },
    );
    expect(rendered).toBeGreaterThan(40);
  });

  it('any value may come from a variable instead, and gives the same spec', () => {
    let rendered = 0;
    fc.assert(
      fc.property(plausibleDocument, fc.infiniteStream(fc.boolean()), (document, choose) => {
        const plain = parseTemplate({ text: JSON.stringify(document), envFiles: ENV_FILES });
        const before = plain.ok ? renderTenant(plain.template, PLAUSIBLE_VARIABLES) : undefined;
        if (before?.ok !== true) return;
        const variables: Record<string, string> = { ...PLAUSIBLE_VARIABLES };
        const swapped = swap(document, (leaf) => {
          if (choose.next().value !== true) return leaf;
          const name = `V${Object.keys(variables).length}`;
          variables[name] = String(leaf);
          return `\${${name}}`;
        });
        const result = parseTemplate({ text: JSON.stringify(swapped), envFiles: ENV_FILES });
        expect(result.ok ? [] : result.errors).toEqual([]);
        if (!result.ok) return;
        const after = renderTenant(result.template, variables);
        expect(after.ok ? after.spec : after.errors).toEqual(before.spec);
        rendered += 1;
      }),
      { numRuns: 250 },
    );
    expect(rendered).toBeGreaterThan(40);
  });

  it('a file that passes the check with its defaults also renders without any variable', () => {
    let rendered = 0;
    fc.assert(
      fc.property(plausibleDocument, (document) => {
        const result = parseTemplate({ text: JSON.stringify(document), envFiles: { '.env': 'A=1' } });
        if (!result.ok || /\$\{[A-Z]+\}/.test(result.template.text)) return;
        const done = renderTenant(result.template, {});
        expect(done.ok ? [] : done.errors).toEqual([]);
        expect(done.warnings).toEqual(result.warnings);
        rendered += 1;
      }),
      { numRuns: 250 },
    );
    expect(rendered).toBeGreaterThan(20);
  });
});

/** Changes the leaves of a document that may hold variables and do not hold one already. */
function swap(value: unknown, change: (leaf: string | number | boolean) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => swap(item, change));
  if (typeof value === 'string') return value.includes('$') ? value : change(value);
  if (typeof value === 'number') return change(value);
  // `restart: no` is read as the word only where YAML itself reads false.
  if (typeof value === 'boolean' || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => [
      key,
      key === 'env_file' || key === 'x-note' ? item : swap(item, change),
    ]),
  );
}

/** The same mapping with its keys the other way round. */
function reversed(map: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).toReversed());
}

function byName(spec: TenantSpec): unknown {
  return { ...spec, services: spec.services.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}
