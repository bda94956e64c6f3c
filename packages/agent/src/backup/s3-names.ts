import { z } from 'zod';

/** What an error of the SDK's may carry. */
export const Said = z.object({
  name: z.string().optional(),
  code: z.string().optional(),
  $metadata: z.object({ httpStatusCode: z.number().optional(), requestId: z.string().optional() }).optional(),
});

/** S3's own name of what went wrong, such as `NoSuchUpload`; empty when it was the network. */
export function nameOf(thrown: unknown): string {
  return Said.safeParse(thrown).data?.name ?? '';
}

export const MISMATCH = 'StoreMismatch';

/**
 * What is stored is not what was sent. A plain error with a name: the part that holds the SDK is a bundle of its own, and
 * a class of the program's other bundle is another class there.
 */
export class Mismatch extends Error {
  override readonly name = MISMATCH;
}
