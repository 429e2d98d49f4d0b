/** `framelog list`: what is on air, from a gateway. */
import * as v from 'valibot'
import { FramelogError } from '../errors.ts'
import { unreachable } from './unreachable.ts'

const answer = v.object({
  broadcasts: v.array(
    v.looseObject({
      id: v.string(),
      state: v.string(),
      startedAt: v.number(),
      updatedAt: v.number(),
      viewers: v.number(),
      title: v.optional(v.string()),
    }),
  ),
})

export async function list({ url, json }: { url: string; json?: boolean }): Promise<void> {
  const { broadcasts } = await broadcastsOf(url)
  if (json) {
    for (const broadcast of broadcasts) process.stdout.write(`${JSON.stringify(broadcast)}\n`)
    return
  }
  if (broadcasts.length === 0) {
    process.stdout.write(`No broadcasts yet. Start one: ${new URL('/static/index.html', url)}\n`)
    return
  }
  const rows = broadcasts.map(({ id, state, startedAt, viewers, title = '' }) => [
    id,
    state,
    new Date(startedAt).toISOString().replace(/\.\d+Z$/, 'Z'),
    String(viewers),
    title.replaceAll(/\p{Cc}/gu, ' '),
  ])
  const table = [['BROADCAST', 'STATE', 'STARTED', 'VIEWERS', 'TITLE'], ...rows]
  const widths = [0, 1, 2, 3, 4].map(column => Math.max(...table.map(row => row[column]?.length ?? 0)))
  for (const row of table)
    process.stdout.write(
      `${row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    )
}

/** @throws FramelogError GATEWAY_UNREACHABLE, GATEWAY_UNTRUSTED */
export async function broadcastsOf(url: string): Promise<v.InferOutput<typeof answer>> {
  if (!URL.canParse(url))
    throw new FramelogError('GATEWAY_UNREACHABLE', `${JSON.stringify(url)} is not a URL`)
  let response: Response
  try {
    response = await fetch(new URL('/api/v1/broadcasts', url), { signal: AbortSignal.timeout(10_000) })
  } catch (cause) {
    throw unreachable(url, cause)
  }
  const parsed = v.safeParse(answer, await response.json().catch(() => undefined))
  if (!response.ok || !parsed.success) {
    throw new FramelogError(
      'GATEWAY_UNREACHABLE',
      `What answers at ${url} is no gateway (HTTP ${response.status})`,
    )
  }
  return parsed.output
}
