import { expect, test } from 'vitest';
import { parseImage, pinnedReference } from '../../src/domain/image.ts';

const D = `sha256:${'a'.repeat(64)}`;

test.each([
  ['nginx', 'nginx', 'docker.io', 'library/nginx', 'latest', null],
  ['team/shop:2', 'team/shop', 'docker.io', 'team/shop', '2', null],
  ['docker.io/nginx:1', 'docker.io/nginx', 'docker.io', 'library/nginx', '1', null],
  ['localhost/shop', 'localhost/shop', 'localhost', 'shop', 'latest', null],
  ['127.0.0.1:5000/a/b:1.2', '127.0.0.1:5000/a/b', '127.0.0.1:5000', 'a/b', '1.2', null],
  [`r.example/shop@${D}`, 'r.example/shop', 'r.example', 'shop', null, D],
  [`r.example:5000/shop:3@${D}`, 'r.example:5000/shop', 'r.example:5000', 'shop', '3', D],
])('%s is read as Docker reads it', (image, name, registry, repository, tag, digest) => {
  expect(parseImage(image)).toEqual({ name, registry, repository, tag, digest });
});

test('a pinned reference has the name as it was written and no tag', () => {
  expect(pinnedReference('127.0.0.1:5000/shop:2', D)).toBe(`127.0.0.1:5000/shop@${D}`);
  expect(pinnedReference('nginx', D)).toBe(`nginx@${D}`);
  expect(pinnedReference(`r.example/shop:1@${D}`, D)).toBe(`r.example/shop@${D}`);
});
