import { z } from 'zod';
import { Refusal, startAwsJson, type AwsJsonDouble } from './aws-json.ts';

export interface SecretsManagerDouble extends AwsJsonDouble {
  /** By name or ARN, then by stage. */
  secrets: Map<string, Record<string, string | Buffer>>;
}

const Get = z.strictObject({
  SecretId: z.string().min(1).max(2048),
  VersionStage: z.string().min(1).max(256).optional(),
});

/** Secrets Manager, as far as reading goes. */
export async function startSecretsManager(): Promise<SecretsManagerDouble> {
  const secrets: SecretsManagerDouble['secrets'] = new Map();
  const double = await startAwsJson('secretsmanager', 'secretsmanager', {
    GetSecretValue(input) {
      const { SecretId, VersionStage = 'AWSCURRENT' } = Get.parse(input);
      const value = secrets.get(SecretId)?.[VersionStage];
      if (value === undefined)
        throw new Refusal('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
      const of = { ARN: SecretId, Name: SecretId, VersionStages: [VersionStage] };
      return typeof value === 'string'
        ? { ...of, SecretString: value }
        : { ...of, SecretBinary: value.toString('base64') };
    },
  });
  return Object.assign(double, { secrets });
}
