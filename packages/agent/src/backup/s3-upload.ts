import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
  type S3Client,
  type StorageClass,
} from '@aws-sdk/client-s3';
import { Measure } from './measure.ts';
import { partBytesFor, partsOf, type Part } from './parts.ts';
import { Mismatch, nameOf } from './s3-names.ts';
import type { PutOptions, Stored } from './object-store.ts';

/** Parts on their way at once: one is sent while the next is filled. */
const AT_ONCE = 2;
/** How long taking back an upload may take, whatever has ended the upload itself. */
const ABORT_MS = 20_000;
const ABORT_TRIES = 3;

/** Where an object goes, and how the bucket is to keep it. */
export interface Upload {
  at: { Bucket: string; Key: string };
  kept: {
    ServerSideEncryption?: 'aws:kms';
    SSEKMSKeyId?: string;
    StorageClass?: StorageClass;
  };
}

/**
 * Sends a body in parts whose SHA-256 the server checks, and completes it. What does not fill one part goes in one
 * request. Whatever fails or aborts, the upload is taken back before this settles.
 */
export async function uploadTo(
  client: S3Client,
  upload: Upload,
  body: AsyncIterable<Buffer>,
  { expectedBytes = 0, signal }: PutOptions,
): Promise<Stored> {
  const measure = new Measure();
  const parts = partsOf(measure.of(body), partBytesFor(expectedBytes));
  const first = await parts.next();
  if (first.done === true) throw new Error('a body has at least one part');
  const digests: string[] = [];
  if (first.value.last) {
    digests.push(await putWhole(client, upload, first.value, signal));
  } else {
    digests.push(...(await putParts(client, upload, first.value, parts, signal)));
  }
  return await verified(client, upload, { measure, digests, many: !first.value.last }, signal);
}

async function putWhole(client: S3Client, upload: Upload, part: Part, signal: AbortSignal): Promise<string> {
  const digest = digestOf(part.data);
  await client.send(
    new PutObjectCommand({
      ...upload.at,
      ...upload.kept,
      Body: part.data,
      ContentLength: part.data.length,
      ChecksumAlgorithm: 'SHA256',
      ChecksumSHA256: digest,
    }),
    { abortSignal: signal },
  );
  return digest;
}

async function putParts(
  client: S3Client,
  upload: Upload,
  first: Part,
  others: AsyncGenerator<Part>,
  signal: AbortSignal,
): Promise<string[]> {
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ ...upload.at, ...upload.kept, ChecksumAlgorithm: 'SHA256' }),
    { abortSignal: signal },
  );
  if (UploadId === undefined) throw new Error('the store began an upload and gave it no name');
  const target = { ...upload.at, UploadId };
  const done: CompletedPart[] = [];
  const digests: string[] = [];
  // The first part that fails ends the others: what they send is for nothing.
  const failing = new AbortController();
  const either = AbortSignal.any([signal, failing.signal]);
  const under = new Set<Promise<void>>();
  let failure: { thrown: unknown } | null = null;
  const send = async (part: Part): Promise<void> => {
    const digest = digestOf(part.data);
    digests[part.number - 1] = digest;
    const answer = await client.send(
      new UploadPartCommand({
        ...target,
        PartNumber: part.number,
        Body: part.data,
        ContentLength: part.data.length,
        ChecksumAlgorithm: 'SHA256',
        ChecksumSHA256: digest,
      }),
      { abortSignal: either },
    );
    // A server that knows no checksums does not take them at the end either.
    const checksum = answer.ChecksumSHA256 === undefined ? {} : { ChecksumSHA256: answer.ChecksumSHA256 };
    done.push({ PartNumber: part.number, ETag: answer.ETag, ...checksum });
    part.free();
  };
  const begin = (part: Part): void => {
    const one: Promise<void> = send(part)
      .catch((thrown: unknown) => {
        failure ??= { thrown };
        failing.abort();
      })
      .finally(() => under.delete(one));
    under.add(one);
  };
  const failed = (): { thrown: unknown } | null => failure;
  try {
    begin(first);
    for await (const part of others) {
      while (under.size >= AT_ONCE) await Promise.race(under);
      if (failed() !== null) break;
      begin(part);
    }
    await Promise.all(under);
    const wrong = failed();
    if (wrong !== null) throw wrong.thrown;
    signal.throwIfAborted();
    done.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    await complete(client, target, done, signal);
    return digests;
  } catch (thrown) {
    failing.abort();
    await Promise.all(under);
    await takeBack(client, target).catch(() => undefined);
    throw thrown;
  }
}

type Target = Upload['at'] & { UploadId: string };

/** An answer that was lost is asked for again by the SDK; then there is no such upload, for it became the object. */
async function complete(
  client: S3Client,
  target: Target,
  parts: CompletedPart[],
  signal: AbortSignal,
): Promise<void> {
  try {
    await client.send(new CompleteMultipartUploadCommand({ ...target, MultipartUpload: { Parts: parts } }), {
      abortSignal: signal,
    });
  } catch (thrown) {
    // Whether that object is ours is seen right after, by its size and checksum.
    if (nameOf(thrown) !== 'NoSuchUpload') throw thrown;
  }
}

/**
 * Aborts an upload and looks whether it is gone: a part that was still being written may outlive one abort. Errors: the
 * SDK's.
 */
export async function takeBack(client: S3Client, target: Target): Promise<void> {
  const signal = AbortSignal.timeout(ABORT_MS);
  for (let tries = 0; tries < ABORT_TRIES; tries += 1) {
    try {
      await client.send(new AbortMultipartUploadCommand(target), { abortSignal: signal });
      const { Parts = [] } = await client.send(new ListPartsCommand({ ...target, MaxParts: 1 }), {
        abortSignal: signal,
      });
      if (Parts.length === 0) return;
    } catch (thrown) {
      if (nameOf(thrown) === 'NoSuchUpload') return;
      // An abort needs one right, looking needs another; who has only the first has done what can be done.
      if (nameOf(thrown) === 'AccessDenied' && tries > 0) return;
      if (tries === ABORT_TRIES - 1) throw thrown;
    }
  }
}

async function verified(
  client: S3Client,
  upload: Upload,
  sent: { measure: Measure; digests: readonly string[]; many: boolean },
  signal: AbortSignal,
): Promise<Stored> {
  const told = await client.send(new HeadObjectCommand({ ...upload.at, ChecksumMode: 'ENABLED' }), {
    abortSignal: signal,
  });
  const { bytes } = sent.measure;
  const sha256 = sent.measure.sha256();
  if (told.ContentLength !== bytes)
    throw new Mismatch(
      `The store has ${told.ContentLength ?? 'an unknown number of'} bytes of ${upload.at.Key}, and ${bytes} were sent. It is not a backup: no manifest is written.`,
    );
  // Of many parts the server keeps the SHA-256 of their SHA-256s.
  const expected = sent.many
    ? digestOf(Buffer.concat(sent.digests.map((digest) => Buffer.from(digest, 'base64'))))
    : sent.digests[0];
  const theirs = told.ChecksumSHA256?.replace(/-\d+$/, '');
  if (theirs === undefined) return { bytes, sha256: null };
  if (theirs !== expected)
    throw new Mismatch(
      `The store's checksum of ${upload.at.Key} is not that of the bytes that were sent. It is not a backup: no manifest is written.`,
    );
  return { bytes, sha256 };
}

function digestOf(data: Buffer): string {
  return createHash('sha256').update(data).digest('base64');
}
