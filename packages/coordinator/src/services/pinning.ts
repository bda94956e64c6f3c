import type { Pin } from '@berth/shared/api/schemas';
import { imagesOf } from '@berth/shared/compose/template-images';
import type { Template } from '@berth/shared/compose/template';
import { BerthError } from '@berth/shared/domain/errors';
import { pinnedReference } from '@berth/shared/domain/image';
import type { TenantSpec } from '@berth/shared/domain/spec';
import type { Registry } from './registry.ts';
import { invalidCompose } from './templates.ts';

/** How many images are asked for at the same time. */
const AT_ONCE = 4;

/**
 * Each service's image with its digest, as the registries have it now. Errors: `invalid_compose` when a variable leaves
 * an image's name open, those of the registry, and `registry_unreachable` when the signal aborts.
 */
export async function pinImages(
  registry: Registry,
  template: Template,
  variables: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Record<string, Pin>> {
  const found = imagesOf(template, variables);
  if (!found.ok) throw invalidCompose('The images of the release are not all known', found.errors);
  const digests = new Map<string, string>();
  const waiting = [...new Set(found.images.map(({ image }) => image))];
  const failed = new AbortController();
  const ending = AbortSignal.any([signal, failed.signal]);
  const work = async (): Promise<void> => {
    for (let image = waiting.shift(); image !== undefined; image = waiting.shift())
      digests.set(image, (await registry.resolve(image, ending)).digest);
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } catch (thrown) {
    // One that is missing is enough: the others need not be asked for any longer.
    failed.abort();
    if (!signal.aborted) throw thrown;
    throw new BerthError(
      'registry_unreachable',
      'The registries took too long to answer, so nothing was made. Try again.',
      { cause: thrown },
    );
  }
  return Object.fromEntries(
    found.images.map(({ service, image }) => {
      const digest = digests.get(image) ?? '';
      return [service, { image, digest, reference: pinnedReference(image, digest) }];
    }),
  );
}

/** The spec with the images that the release fixed, whatever a tenant's variables made of their names. */
export function withPins(spec: TenantSpec, pins: Readonly<Record<string, Pin>>): TenantSpec {
  return {
    ...spec,
    services: spec.services.map((service) => {
      const pin = Object.hasOwn(pins, service.name) ? pins[service.name] : undefined;
      return pin === undefined ? service : { ...service, image: pin.reference };
    }),
  };
}
