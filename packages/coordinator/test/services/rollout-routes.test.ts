import { expect, test } from 'vitest';
import { lostRoutes } from '../../src/services/rollout-routes.ts';

const at = (path: string, subdomain = '') => ({ subdomain, path });

test('a route that is kept, added, or written with a slash at its end is not lost', () => {
  expect(lostRoutes(5, [at('/')], [at('/')])).toBeNull();
  expect(lostRoutes(5, [at('/')], [at('/'), at('/api')])).toBeNull();
  expect(lostRoutes(5, [at('/api/')], [at('/api')])).toBeNull();
  expect(lostRoutes(5, [], [])).toBeNull();
});

test('routes that go or move are named, and so is what is left', () => {
  expect(lostRoutes(5, [at('/')], [at('/api')])).toBe(
    'Release 5 routes /api and no longer /: who asks for what nothing routes gets 404.',
  );
  expect(lostRoutes(5, [at('/'), at('/', 'admin')], [at('/')])).toContain('no longer admin.… /:');
  expect(lostRoutes(5, [at('/')], [])).toContain('routes nothing and no longer /:');
  const many = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => at(`/${name}`));
  expect(lostRoutes(5, many, [at('/')])).toContain('no longer /a, /b, /c, /d, /e and 2 more:');
});
