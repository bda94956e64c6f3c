import { ECRClient } from '@aws-sdk/client-ecr';
import type { AwsCredentials } from './sigv4.ts';

/**
 * The coordinator's own credentials, found as the AWS SDK finds them: environment, profile, the task's or the instance's
 * role. A part of its own, loaded when the first rule asks for tags.
 */
export async function ownCredentials(region: string): Promise<AwsCredentials> {
  const { accessKeyId, secretAccessKey, sessionToken } = await new ECRClient({ region }).config.credentials();
  return { accessKeyId, secretAccessKey, sessionToken };
}
