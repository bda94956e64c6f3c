import type { Problem } from '@berth/shared/domain/step';
import type { AgentEvent, HostReport, RemovalRequest, TenantReport } from '@berth/shared/protocol/report';

/** Details of one event beyond this are left out: a frame has room for many events, not for one novel. */
const DETAILS_BYTES = 16_384;

const cut = (text: string, max: number): string => (text.length <= max ? text : `${text.slice(0, max - 1)}…`);

/**
 * Cuts a report down to what the protocol carries. A report that is too long must not cost the agent its session, so
 * it is cut here rather than refused there.
 */
export function clampTenant(report: TenantReport): TenantReport {
  return {
    ...report,
    steps: report.steps.slice(-60).map((step) => ({ ...step, title: cut(step.title, 400) })),
    problem: report.problem === null ? null : clampProblem(report.problem),
    containers: report.containers.slice(0, 200),
  };
}

function clampProblem(problem: Problem): Problem {
  return {
    ...problem,
    message: cut(problem.message, 2000),
    logTail: problem.logTail.slice(-10).map((line) => cut(line, 1000)),
  };
}

export function clampRemoval(request: RemovalRequest): RemovalRequest {
  return { ...request, containers: request.containers.slice(0, 200).map((name) => cut(name, 200)) };
}

export function clampEvent(event: AgentEvent): AgentEvent {
  const size = Buffer.byteLength(JSON.stringify(event.details));
  return {
    ...event,
    message: cut(event.message, 1000),
    details: size <= DETAILS_BYTES ? event.details : { leftOut: `${size} bytes of details` },
  };
}

export function clampHost(report: HostReport): HostReport {
  return { ...report, orphans: report.orphans.slice(0, 1000) };
}
