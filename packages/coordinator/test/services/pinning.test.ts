import { expect, test } from 'vitest';
import { BerthError } from '@berth/shared/domain/errors';
import { pinImages } from '../../src/services/pinning.ts';
import type { Registry } from '../../src/services/registry.ts';
import { parseCompose } from '../../src/services/templates.ts';

const { template } = parseCompose(
  `services: { ${Array.from({ length: 12 }, (_, n) => `s${n}: { image: "r.test/s${n}:1" }`).join(', ')} }`,
  {},
);

/** A registry whose answers come when the test says so. */
function slow() {
  const waiting = new Map<string, PromiseWithResolvers<{ digest: string; mediaType: string }>>();
  const asked: string[] = [];
  const registry: Registry = {
    resolve(image, signal) {
      asked.push(image);
      const answer = Promise.withResolvers<{ digest: string; mediaType: string }>();
      signal.addEventListener('abort', () => answer.reject(new Error('aborted')));
      waiting.set(image, answer);
      return answer.promise;
    },
  };
  return { registry, waiting, asked };
}

test('a few images are asked for at a time, and the first that is missing ends the others', async () => {
  const { registry, waiting, asked } = slow();
  const pins = pinImages(registry, template, {}, new AbortController().signal);
  expect(asked).toHaveLength(4);
  waiting.get('r.test/s2:1')?.reject(new BerthError('image_not_found', 'There is no s2.'));
  await expect(pins).rejects.toMatchObject({ code: 'image_not_found' });
  expect(asked).toHaveLength(4);
});

test('registries that take too long are said to be unreachable', async () => {
  const stop = new AbortController();
  const pins = pinImages(slow().registry, template, {}, stop.signal);
  stop.abort(new DOMException('The operation timed out.', 'TimeoutError'));
  await expect(pins).rejects.toMatchObject({ code: 'registry_unreachable' });
});
