import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Site } from '@berth/shared/domain/network';
import { atLeast, parseVersion } from '../../src/system/nginx-version.ts';
import { emitNginx, waysByHost } from '../../src/execute/nginx/emit.ts';

const settings = {
  listenAddress: '0.0.0.0',
  httpPort: 80,
  internalPort: 8079,
  user: 'www-data',
  version: [1, 22, 1] as const,
  temporary: 'own' as const,
  digest: 'd',
};

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
const host = fc.tuple(label, label).map((parts) => `${parts.join('.')}.example`);
const path = fc.oneof(fc.constant('/'), fc.stringMatching(/^\/[A-Za-z0-9/_.~-]{0,12}$/));
const site: fc.Arbitrary<Site> = fc.record({
  tenant: label,
  service: fc.constant('web'),
  hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 3 }),
  path,
  virtual: fc.tuple(fc.nat({ max: 255 }), fc.nat({ max: 255 })).map(([a, b]) => `198.18.${a}.${b}`),
});

/** Nginx's own grammar, as far as we use it: words, quoted words, `;`, `{`, `}`. */
function tokens(text: string): string[] {
  const found: string[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const space = /^(\s+|#[^\n]*)/.exec(rest);
    if (space !== null) {
      at += space[0].length;
      continue;
    }
    const token = /^(?:"(?:\\.|[^"\\])*"|[;{}]|(?:\$\{\w+\}|[^\s;{}"])+)/s.exec(rest);
    if (token === null) throw new Error(`no token at ${rest.slice(0, 40)}`);
    found.push(token[0]);
    at += token[0].length;
  }
  return found;
}

interface Directive {
  words: string[];
  block: Directive[] | null;
}

function parse(text: string): Directive[] {
  const list = tokens(text);
  let at = 0;
  const block = (inner: boolean): Directive[] => {
    const directives: Directive[] = [];
    let words: string[] = [];
    for (;;) {
      const token = list[at];
      at += 1;
      if (token === undefined) {
        if (inner || words.length > 0) throw new Error('the file ends inside a block');
        return directives;
      }
      if (token === ';') {
        directives.push({ words, block: null });
        words = [];
      } else if (token === '{') {
        directives.push({ words, block: block(true) });
        words = [];
      } else if (token === '}') {
        if (!inner || words.length > 0) throw new Error('a block ends inside a directive');
        return directives;
      } else words.push(token);
    }
  };
  return block(false);
}

/** What the parsed maps say about one request. */
function route(config: Directive[], name: string, uri: string): string {
  const http = config.find((each) => each.words[0] === 'http')?.block ?? [];
  const map = (source: string, target: string): Directive[] =>
    http.find((each) => each.words[0] === 'map' && each.words[1] === source && each.words[2] === target)
      ?.block ?? [];
  const line = map('$host', '$berth_site').find((each) => each.words[0] === name);
  const value = line?.words[1] ?? '';
  if (!value.startsWith('$berth_path_')) return value;
  for (const each of map('$uri', value)) {
    const pattern = each.words[0]?.replace(/^"|"$/g, '') ?? '';
    if (pattern.startsWith('~') && new RegExp(pattern.slice(1)).test(uri)) return each.words[1] ?? '';
  }
  return '';
}

describe('the configuration', () => {
  test('parses, has the same directives whatever the sites are, and leads every site to its address', () => {
    const shape = parse(emitNginx([], settings)).map((each) => each.words[0]);
    fc.assert(
      fc.property(fc.array(site, { maxLength: 6 }), (sites) => {
        let text: string;
        try {
          text = emitNginx(sites, settings);
        } catch (error) {
          // Only two services in one place may be refused here.
          expect(String(error)).toContain('Two services claim');
          return;
        }
        const config = parse(text);
        expect(config.map((each) => each.words[0])).toEqual(shape);
        const http = config.find((each) => each.words[0] === 'http')?.block ?? [];
        expect(http.filter((each) => each.words[0] === 'server')).toHaveLength(6);
        for (const each of sites)
          for (const name of each.hosts) {
            const bare = each.path === '/' ? '/' : each.path.replace(/\/+$/, '');
            if (bare === '') continue;
            expect(route(config, name, bare)).toBe(each.virtual);
          }
        expect(route(config, 'unknown.example', '/')).toBe('');
      }),
    );
  });

  test('does not depend on the order of the sites', () => {
    fc.assert(
      fc.property(fc.array(site, { maxLength: 6 }), fc.nat(), (sites, turn) => {
        const turned = sites
          .map((_, at) => sites[(at + turn) % sites.length])
          .filter((each) => each !== undefined);
        const attempt = (list: readonly Site[]): string => {
          try {
            return emitNginx(list, settings);
          } catch {
            return 'refused';
          }
        };
        expect(attempt(turned)).toBe(attempt(sites));
      }),
    );
  });

  test('takes no string that is not a host name, a path or an address', () => {
    const wild = fc.oneof(
      fc.string(),
      fc.constantFrom(
        'a.com;',
        'a.com{',
        '"a.com"',
        'a.com\n}',
        '~.*',
        'default',
        'include /etc/x',
        '$host',
        '*.a.com',
        '..',
        '_',
      ),
    );
    fc.assert(
      fc.property(wild, fc.constantFrom('host', 'path', 'virtual'), (text, where) => {
        const one: Site = {
          tenant: 'acme',
          service: 'web',
          hosts: [where === 'host' ? text : 'a.example'],
          path: where === 'path' ? text : '/',
          virtual: where === 'virtual' ? text : '198.18.0.1',
        };
        const legal = {
          host: /^([a-z0-9-]+\.)+[a-z0-9-]+$/,
          path: /^\/[A-Za-z0-9/_.~-]*$/,
          virtual: /^[0-9.]+$/,
        }[where];
        if (legal.test(text)) return;
        expect(() => emitNginx([one], settings)).toThrow(/that Nginx must not be given/);
      }),
    );
  });

  test('longest paths come first and end at a slash', () => {
    const at = (path: string, last: number): Site => ({
      tenant: 'acme',
      service: 'web',
      hosts: ['a.example'],
      path,
      virtual: `198.18.0.${last}`,
    });
    const sites = [at('/', 1), at('/api', 2), at('/api/v2/', 3)];
    expect(
      waysByHost(sites)
        .get('a.example')
        ?.map((way) => way.path),
    ).toEqual(['/api/v2', '/api', '/']);
    const config = parse(emitNginx(sites, settings));
    expect(route(config, 'a.example', '/api/v2/x')).toBe('198.18.0.3');
    expect(route(config, 'a.example', '/api/v20')).toBe('198.18.0.2');
    expect(route(config, 'a.example', '/apix')).toBe('198.18.0.1');
  });

  test('leads a path that nothing routes to its own page, and an unknown host to another', () => {
    const one = { tenant: 't', service: 'web', hosts: ['a.example'], path: '/api', virtual: '198.18.0.1' };
    const text = emitNginx([one], settings);
    expect(text).toMatch(/map \$uri \$berth_path_1 \{\ndefault noroute;/);
    expect(text).toMatch(/map \$host \$berth_site \{\ndefault nowhere;/);
    expect(text).toContain('upstream noroute { server 127.0.0.4:8079 max_fails=0; }');
    expect(text).toContain('return 404 "Nothing is routed here.\\n";');
  });

  test.each([
    [[1, 18, 0], 'keepalive_requests 200;', /keepalive_time |keepalive_min_timeout/],
    [[1, 22, 1], 'keepalive_time 1s;', /keepalive_min_timeout|keepalive_requests 200;/],
    [[1, 27, 4], 'keepalive_min_timeout 2s;', /keepalive_requests 200;/],
  ] as const)('has no directive that Nginx %j does not know', (version, has, hasNot) => {
    const one = { tenant: 't', service: 'web', hosts: ['a.example'], path: '/', virtual: '198.18.0.1' };
    const text = emitNginx([one], { ...settings, version });
    expect(text).toContain(has);
    expect(text).not.toMatch(hasNot);
  });

  test('puts bodies down below its prefix only where workers can reach that', () => {
    expect(emitNginx([], settings)).toContain('client_body_temp_path tmp/body;');
    expect(emitNginx([], { ...settings, temporary: 'built-in' })).not.toContain('temp_path');
  });

  test('keeps pools small when there are very many of them', () => {
    const many = Array.from({ length: 1_001 }, (_, number) => ({
      tenant: 't',
      service: 'web',
      hosts: [`t${number}.example`],
      path: '/',
      virtual: `198.18.${number >> 8}.${number & 255}`,
    }));
    expect(emitNginx(many, settings)).toContain('keepalive 16;');
    expect(emitNginx(many.slice(0, 1_000), settings)).toContain('keepalive 64;');
  });
});

test('Nginx’s version is read from its own words only', () => {
  expect(parseVersion('nginx version: nginx/1.18.0 (Ubuntu)\n')).toEqual([1, 18, 0]);
  expect(parseVersion('nginx version: openresty/1.25.3.1\n')).toEqual([1, 25, 3]);
  expect(parseVersion('Apache/2.4')).toBeNull();
  expect(atLeast([1, 27, 4], [1, 19, 10])).toBe(true);
  expect(atLeast([1, 19, 9], [1, 19, 10])).toBe(false);
});
