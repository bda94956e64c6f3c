import { text } from 'node:stream/consumers';
import { ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr';
import { messageOf } from '@berth/shared/domain/errors';
import { ecrTokenOf } from '@berth/shared/registry/ecr-answer';
import { z } from 'zod';

/**
 * A program that asks ECR once and ends: the SDK takes some 28 MB, which an agent would otherwise keep for one question
 * in twelve hours. It reads `{"region","endpoint"}` on stdin and answers one JSON line on stdout, a pipe to the agent.
 * Credentials are what the SDK finds: environment, profile, the task's or the instance's role.
 */
const Of = z.object({ region: z.string(), endpoint: z.string().optional() });

async function answer(): Promise<object> {
  try {
    const { region, endpoint } = Of.parse(JSON.parse(await text(process.stdin)));
    const client = new ECRClient({ region, ...(endpoint === undefined ? {} : { endpoint }) });
    return { kind: 'token', ...ecrTokenOf(await client.send(new GetAuthorizationTokenCommand({}))) };
  } catch (thrown) {
    const name = thrown instanceof Error ? thrown.name : 'Error';
    return { kind: 'refused', name, message: messageOf(thrown) };
  }
}

process.stdout.write(`${JSON.stringify(await answer())}\n`);
