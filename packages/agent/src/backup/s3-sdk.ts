import { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadObjectCommand,
  paginateListObjectsV2,
  S3Client,
  ListMultipartUploadsCommand,
  type StorageClass,
} from '@aws-sdk/client-s3';
import type { BackupStore } from '@berth/shared/domain/backup';
import { z } from 'zod';
import type { StoreOptions } from './object-store.ts';
import { nameOf } from './s3-names.ts';
import type { S3Calls } from './s3-store.ts';
import { takeBack, uploadTo, type Upload } from './s3-upload.ts';

/**
 * A part of its own, loaded when a backup goes to S3: the SDK takes some 28 MB. It throws what the SDK throws; `s3-store`
 * makes Berth's errors of it.
 */

type S3 = Extract<BackupStore, { kind: 's3' }>;

/** Any bucket, of AWS or of another server that speaks S3. Credentials are what the SDK finds. */
export function openS3(store: S3, options: StoreOptions): S3Calls {
  const { bucket, prefix } = store;
  const client = clientOf(store, options);
  const full = (key: string): string => (prefix === '' ? key : `${prefix}/${key}`);
  const own = (key: string): string => (prefix === '' ? key : key.slice(prefix.length + 1));
  const kept: Upload['kept'] = {
    ...(store.kmsKey === undefined ? {} : { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: store.kmsKey }),
    ...(store.storageClass === undefined ? {} : { StorageClass: storageClass(store.storageClass) }),
  };
  const at = (key: string): Upload['at'] => ({ Bucket: bucket, Key: full(key) });

  return {
    put: (key, body, putting) => uploadTo(client, { at: at(key), kept }, body, putting),
    async get(key, { from = 0, signal }) {
      const range = from === 0 ? {} : { Range: `bytes=${from}-` };
      const { Body } = await client.send(new GetObjectCommand({ ...at(key), ...range }), {
        abortSignal: signal,
      });
      if (!(Body instanceof Readable)) throw new Error('an answer without a body');
      return Body;
    },
    async head(key, signal) {
      try {
        const { ContentLength = 0 } = await client.send(new HeadObjectCommand(at(key)), {
          abortSignal: signal,
        });
        return { bytes: ContentLength };
      } catch (thrown) {
        if (nameOf(thrown) === 'NotFound' || nameOf(thrown) === 'NoSuchKey') return null;
        throw thrown;
      }
    },
    async *list(under, signal) {
      const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: `${full(under)}/` });
      for await (const { Contents = [] } of pages) {
        signal.throwIfAborted();
        for (const { Key = '', Size = 0 } of Contents) yield { key: own(Key), bytes: Size };
      }
    },
    async *unfinished(under, signal) {
      let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
      for (;;) {
        const page = await client.send(
          new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${full(under)}/`, ...marker }),
          { abortSignal: signal },
        );
        for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? [])
          yield { key: own(Key), upload: UploadId, begunAt: Initiated?.getTime() ?? 0 };
        if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
        marker = {
          KeyMarker: page.NextKeyMarker,
          ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
        };
      }
    },
    abandon: ({ key, upload }) => takeBack(client, { ...at(key), UploadId: upload }),
    close: () => client.destroy(),
  };
}

function clientOf({ region, endpoint }: S3, { silenceMs = 60_000, attempts = 4 }: StoreOptions): S3Client {
  const client = new S3Client({
    region,
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: attempts,
    // Every part carries its SHA-256, which we have worked out once; the SDK is to add no other and to check none.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: Math.min(5_000, silenceMs), socketTimeout: silenceMs },
  });
  // The signature covers the same SHA-256 in another spelling. Without this the SDK would read every part again for it.
  client.middlewareStack.add(
    (next) => async (given) => {
      const parsed = Signed.safeParse(given.request);
      if (parsed.success) {
        const { headers } = parsed.data;
        const checksum = headers['x-amz-checksum-sha256'];
        if (checksum !== undefined)
          headers['x-amz-content-sha256'] = Buffer.from(checksum, 'base64').toString('hex');
      }
      return await next(given);
    },
    { step: 'build', name: 'berthKnownPayloadHash', priority: 'low' },
  );
  return client;
}

/** The request's own headers: what is written into them is sent. */
const Signed = z.object({ headers: z.custom<Record<string, string>>((value) => typeof value === 'object') });

/** The SDK's type is the list it was built with; a server may know more, and says no itself if it does not. */
function storageClass(name: string): StorageClass {
  const isOne = (text: string): text is StorageClass => /^[A-Z_]+$/.test(text);
  if (isOne(name)) return name;
  throw new Error(`${JSON.stringify(name)} is no storage class of S3`);
}
