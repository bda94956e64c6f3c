import { ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr';
import type { FetchEcrToken } from '@berth/shared/registry/credentials';
import { ecrTokenOf } from '@berth/shared/registry/ecr-answer';

/** Asks ECR with the credentials that the SDK finds: environment, profile, the task's or the instance's role. */
export const fetchEcrToken: FetchEcrToken = async ({ region, endpoint }, signal) => {
  const client = new ECRClient({ region, ...(endpoint === undefined ? {} : { endpoint }) });
  try {
    return ecrTokenOf(await client.send(new GetAuthorizationTokenCommand({}), { abortSignal: signal }));
  } finally {
    client.destroy();
  }
};
