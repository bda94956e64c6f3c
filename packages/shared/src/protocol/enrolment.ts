import { z } from 'zod';

/**
 * How a host on AWS proves who it is. It signs a GetCallerIdentity request to STS that it never sends itself: the
 * coordinator sends it, and STS tells whose signature it is. The coordinator's challenge and the host's key are in a
 * header below that signature, so the request is of use to nobody else and never again.
 */

/** The signed header that binds challenge and key. */
export const CHALLENGE_HEADER = 'x-berth-challenge';

/** The only body that is sent to STS. */
export const STS_BODY = 'Action=GetCallerIdentity&Version=2011-06-15';
export const STS_CONTENT_TYPE = 'application/x-www-form-urlencoded; charset=utf-8';

/** The value of the header: `publicKey` is SPKI DER in base64, as it is enrolled. */
export function challengeHeader(challenge: string, publicKey: string): string {
  return `${challenge};${publicKey}`;
}

/** What the host's own key signs, to show that it holds the key that it names. */
export function possessionText(challenge: string): string {
  return `berth-enrol\n${challenge}`;
}

/** A request to STS, as it was signed. */
export const SignedRequest = z.strictObject({
  url: z.string().max(300),
  method: z.string().max(10),
  headers: z.record(z.string().max(60), z.string().max(4096)),
  body: z.string().max(200),
});
export type SignedRequest = z.infer<typeof SignedRequest>;

export const AwsProof = z.strictObject({
  sts: SignedRequest,
  /** The instance identity document, byte for byte. */
  document: z.string().max(8192),
  /** Its PKCS #7 signature as IMDS has it under `rsa2048`: base64, with or without line breaks. */
  rsa2048: z.string().max(8192),
});
export type AwsProof = z.infer<typeof AwsProof>;
