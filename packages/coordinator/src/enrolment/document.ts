import { BerthError } from '@berth/shared/domain/errors';
import { z } from 'zod';

/** What AWS says of an instance in its identity document, as far as it is looked at. */
export interface InstanceDocument {
  instance: string;
  account: string;
  region: string;
  image: string;
  /** When the instance was started, milliseconds since 1970. */
  startedAt: number;
}

const Document = z.object({
  instanceId: z.string().regex(/^i-[0-9a-f]{8,17}$/),
  accountId: z.string().regex(/^\d{12}$/),
  region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d{1,2}$/),
  imageId: z.string().regex(/^ami-[0-9a-f]{8,17}$/),
  pendingTime: z.iso.datetime(),
});

/** Errors: `unauthenticated` when this is no identity document. Nothing of it is proven yet. */
export function readDocument(text: string): InstanceDocument {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // The sentence below says it.
  }
  const parsed = Document.safeParse(value);
  if (!parsed.success) {
    throw new BerthError('unauthenticated', 'The instance identity document cannot be read.', {
      details: { reason: 'document' },
    });
  }
  const { instanceId, accountId, region, imageId, pendingTime } = parsed.data;
  return {
    instance: instanceId,
    account: accountId,
    region,
    image: imageId,
    startedAt: Date.parse(pendingTime),
  };
}

/** The part of AWS that a region is in; the same account number may be another customer's in each. */
export function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
