import { z } from 'zod';
import { Refusal, startAwsJson, type AwsJsonDouble } from './aws-json.ts';

export interface SsmDouble extends AwsJsonDouble {
  /** Secure strings by name. */
  parameters: Map<string, string>;
}

const Get = z.strictObject({ Name: z.string().min(1).max(2048), WithDecryption: z.boolean().default(false) });

/** Parameter Store, as far as reading one secure string goes. Without being asked to decrypt, it does not. */
export async function startSsm(): Promise<SsmDouble> {
  const parameters: SsmDouble['parameters'] = new Map();
  const double = await startAwsJson('ssm', 'AmazonSSM', {
    GetParameter(input) {
      const { Name, WithDecryption } = Get.parse(input);
      const value = parameters.get(Name);
      if (value === undefined) throw new Refusal('ParameterNotFound', `Parameter ${Name} not found.`);
      const shown = WithDecryption ? value : 'AQICAHencrypted';
      return { Parameter: { Name, Type: 'SecureString', Value: shown, Version: 1 } };
    },
  });
  return Object.assign(double, { parameters });
}
