/**
 * What acknowledged means with these copies, for the operator.
 * @param brokers that are up
 */
export function durability(copies: number | undefined, least: number | undefined, brokers: number): string {
  if (copies === 1) return "one copy: losing that broker's disk loses the video"
  const acknowledged = `acknowledged when every copy in sync has it (acks=all)`
  const all = `${ofCopies(copies, brokers)} ${acknowledged}`
  if (least === undefined) return all
  if (least === 1) return `${all}; min.insync.replicas=1 lets that be a single one`
  return `${all}, never fewer than ${least}`
}

function ofCopies(copies: number | undefined, brokers: number): string {
  if (copies === undefined) return 'as many copies as the cluster is set to,'
  if (copies <= brokers) return `${copies} copies,`
  return `${copies} copies wanted of new topics, the cluster has ${inWords(brokers)} now;`
}

export const inWords = (brokers: number): string => `${brokers} broker${brokers === 1 ? '' : 's'}`
