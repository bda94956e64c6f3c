import { describe, expect, test } from 'vitest';
import { registryOf } from '@berth/shared/domain/image';
import { explainPull, taggedReference } from '../../src/execute/docker/image.ts';

describe('why a pull failed', () => {
  test.each([
    ['manifest for localhost:5000/shop:9 not found: manifest unknown: manifest unknown', 'image_not_found'],
    [
      "pull access denied for shop, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
      'image_not_found',
    ],
    ['Get "https://r.example/v2/": dial tcp: lookup r.example: no such host', 'registry_unreachable'],
    [
      'Get "http://127.0.0.1:9/v2/": dial tcp 127.0.0.1:9: connect: connection refused',
      'registry_unreachable',
    ],
    [
      'Get "https://r.example/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded)',
      'registry_unreachable',
    ],
    ['Head "https://r.example/v2/shop/manifests/1": no basic auth credentials', 'image_pull_failed'],
    ['unauthorized: authentication required', 'image_pull_failed'],
    ['denied: Your authorization token has expired. Reauthenticate and try again.', 'image_pull_failed'],
    ['write /var/lib/docker/tmp/x: no space left on device', 'disk_short'],
    ['something new', 'image_pull_failed'],
  ])('%s', (words, code) => {
    const failure = explainPull('r.example/shop:1', words);
    expect(failure.code).toBe(code);
    expect(failure.message).toContain('r.example/shop:1');
  });
});

test.each([
  ['shop', 'shop:latest'],
  ['localhost:5000/shop', 'localhost:5000/shop:latest'],
  ['localhost:5000/shop:1', 'localhost:5000/shop:1'],
  ['shop@sha256:abc', 'shop@sha256:abc'],
])('%s is pulled as %s', (image, reference) => {
  expect(taggedReference(image)).toBe(reference);
});

test.each([
  ['shop', 'docker.io'],
  ['team/shop:1', 'docker.io'],
  ['localhost/shop', 'localhost'],
  ['localhost:5000/shop', 'localhost:5000'],
  ['123.dkr.ecr.eu-west-1.amazonaws.com/shop', '123.dkr.ecr.eu-west-1.amazonaws.com'],
])('%s comes from %s', (image, registry) => {
  expect(registryOf(image)).toBe(registry);
});
