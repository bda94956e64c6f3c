import { BerthError } from '@berth/shared/domain/errors';
import type { Answer, Question } from '@berth/shared/protocol/messages';
import type { Session } from './fleet-session.ts';

const PER_AGENT = 16;

interface Asked {
  session: Session;
  resolve(answer: Answer): void;
  reject(error: BerthError): void;
  timer: NodeJS.Timeout;
}

/** Questions that wait for an agent's answer. */
export interface Questions {
  ask(session: Session, question: Question, timeoutMs: number): Promise<Answer>;
  /** False: nobody asked this agent that, or it came too late. */
  answered(session: Session, id: string, answer: Answer): boolean;
  /** The session is over: nobody will answer. */
  gone(session: Session): void;
}

export function createQuestions(): Questions {
  const open = new Map<string, Asked>();
  let count = 0;

  function close(id: string): Asked | null {
    const asked = open.get(id);
    if (asked === undefined) return null;
    open.delete(id);
    clearTimeout(asked.timer);
    asked.session.asked -= 1;
    return asked;
  }

  return {
    ask(session, question, timeoutMs) {
      if (session.asked >= PER_AGENT)
        return Promise.reject(
          new BerthError(
            'rate_limited',
            `Host ${session.host} has ${PER_AGENT} questions to answer already; try again in a moment.`,
          ),
        );
      count += 1;
      const id = `q${count}`;
      session.asked += 1;
      return new Promise<Answer>((resolve, reject) => {
        const timer = setTimeout(() => {
          close(id)?.reject(
            new BerthError(
              'timeout',
              `Host ${session.host} did not answer within ${timeoutMs} ms; what it would have said is unknown.`,
            ),
          );
        }, timeoutMs);
        open.set(id, { session, resolve, reject, timer });
        session.connection.tell(JSON.stringify({ type: 'query', id, question }));
      });
    },
    answered(session, id, answer) {
      if (open.get(id)?.session !== session) return false;
      close(id)?.resolve(answer);
      return true;
    },
    gone(session) {
      if (session.asked === 0) return;
      for (const [id, asked] of open)
        if (asked.session === session)
          close(id)?.reject(
            new BerthError('host_offline', `Host ${session.host} went offline before it answered.`),
          );
    },
  };
}
