import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';

/** What an operator does with a bucket, past everything that is tested. */
export interface S3Admin {
  create(bucket: string): Promise<void>;
  /** With all that is in it. */
  remove(bucket: string): Promise<void>;
  put(bucket: string, key: string, body: Buffer): Promise<void>;
  get(bucket: string, key: string): Promise<Buffer>;
  keys(bucket: string): Promise<string[]>;
}

export function s3Admin(of: { url: string; region: string; key: { id: string; secret: string } }): S3Admin {
  const client = new S3Client({
    region: of.region,
    endpoint: of.url,
    forcePathStyle: true,
    credentials: { accessKeyId: of.key.id, secretAccessKey: of.key.secret },
  });
  const keys = async (bucket: string): Promise<string[]> => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    return Contents.map(({ Key = '' }) => Key);
  };
  return {
    keys,
    async create(bucket) {
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
    },
    async remove(bucket) {
      for (const key of await keys(bucket))
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
      await client.send(new DeleteBucketCommand({ Bucket: bucket }));
    },
    async put(bucket, key, body) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
    },
    async get(bucket, key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
  };
}
