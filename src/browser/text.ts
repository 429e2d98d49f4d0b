/** Everything that the pages say, in one place. */
import { type CodecFamily, parseCodec } from '../media/codec.ts'
import type { Problem } from './net/link.ts'
import type { PlayerState, SoundState } from './player/player.ts'
import type { DeviceProblem } from './publisher/devices.ts'
import type { PublisherState } from './publisher/publisher.ts'

/** A state in words: a short one for a badge, a sentence for whoever wonders. */
export interface Words {
  readonly badge: string
  readonly tone: 'calm' | 'live' | 'busy' | 'bad'
  readonly sentence: string
}

export const text = {
  brand: 'Framelog',
  tagline: 'Live video on Kafka',
  nav: { label: 'Pages', home: 'On air', studio: 'Studio' },
  home: {
    title: 'On air',
    start: 'Start a broadcast',
    empty: 'Nothing here yet.',
    emptyHint: 'Start a broadcast with your camera, and it appears here for everyone on this gateway.',
    recorded: 'Recorded',
    unreachable: 'The gateway does not answer. Trying again…',
    loading: 'Looking…',
    viewers: (n: number): string => (n === 1 ? '1 viewer' : `${n} viewers`),
    since: (span: string): string => `for ${span}`,
    ago: (span: string): string => `${span} ago`,
  },
  studio: {
    title: 'Studio',
    camera: 'Your camera',
    replay: 'The same, through the log',
    cameraEmpty: 'Your camera appears here.',
    replayEmpty: 'What viewers see appears here.',
    cameraLabel: 'Preview of your camera',
    replayLabel: 'Your broadcast as viewers see it',
    id: 'Broadcast',
    idHint: 'a-z, 0-9 and “-”, up to 63 characters',
    name: 'Title',
    nameHint: 'What viewers see in the list',
    sizes: 'Sizes',
    sizeCounts: {
      1: 'One',
      2: 'Two: half as large too',
      3: 'Three: half and a quarter too',
    },
    sizesHint: 'Viewers get the one that their connection takes.',
    idWrong: 'Use 1 to 63 of a-z, 0-9 and “-”, beginning with a letter or digit.',
    start: 'Start',
    stop: 'Stop',
    hear: 'Listen in',
    unhear: 'Stop listening',
    share: 'Link for viewers',
    copy: 'Copy',
    copied: 'Copied',
    copyFailed: 'Select the link and copy it by hand.',
    figures: 'Figures',
  },
  watch: {
    title: (id: string): string => `${id} · Framelog`,
    badId: 'This is no address of a broadcast',
    picture: (id: string): string => `Picture of ${id}`,
    soundOnly: 'Sound only',
    fullScreen: 'Full screen',
    leaveFullScreen: 'Leave full screen',
    pictureInPicture: 'Small window',
    leavePictureInPicture: 'Back here',
    isInPicture: 'The picture is in a window of its own.',
    figures: 'Figures',
  },
  controls: {
    label: 'Playback',
    offAir: 'Off air',
    timeline: 'Time',
    play: 'Play',
    pause: 'Pause',
    start: 'From the start',
    live: 'Live',
    keyframeBack: '‹',
    keyframeBackLabel: 'One keyframe back',
    keyframeOn: '›',
    keyframeOnLabel: 'One keyframe on',
    rate: 'Speed',
    times: (rate: number): string => `${rate}×`,
    size: 'Size of the picture',
    lines: (height: number): string => `${height}p`,
    automatic: (height: number): string => `Auto (${height}p)`,
    copy: 'Link to this moment',
    copied: 'Copied',
    inAddress: 'In the address bar',
  },
  lag: {
    title: 'Where the lag goes',
    total: (ms: number): string => `${ms.toFixed(0)} ms`,
    span: (ms: number): string => `${ms.toFixed(1)} ms`,
    places: {
      encoded: 'Encoder',
      sent: 'Waits to be sent',
      received: 'To the gateway',
      appended: 'Log writes',
      read: 'Log is read',
      relayed: 'Gateway',
      arrived: 'To the viewer',
      decoded: 'Decoder',
      painted: 'Waits for its moment',
    },
    explained: {
      encoded: 'From the camera’s picture to the encoded frame',
      sent: 'From there until the publisher’s page has given it to its socket',
      received: 'From there until the publisher’s gateway has it',
      appended: 'From there until the log has acknowledged it',
      read: 'From there until the viewer’s gateway has read it back',
      relayed: 'From there until that gateway has given it to its sockets',
      arrived: 'From there until the viewer’s page has it',
      decoded: 'From there until it is decoded',
      painted: 'From there until it is on the screen: what evens out jitter, and the next refresh',
    },
  },
  figures: {
    lag: 'Lag',
    fps: 'Pictures a second',
    bitrate: 'Bitrate',
    acknowledged: 'In the log',
    waiting: 'On their way',
    dropped: 'Given up',
    skipped: 'Left out',
    pictures: (n: number): string => (n === 1 ? '1 picture' : `${n.toLocaleString('en')} pictures`),
    codec: 'Codec',
    size: 'Picture',
    roundTrip: 'Round trip',
    buffer: 'Buffer',
    join: 'Joined in',
    skew: 'Sound ahead by',
    lost: 'Lost',
    frames: (n: number): string => (n === 1 ? '1 frame' : `${n.toLocaleString('en')} frames`),
    milliseconds: (n: number): string => `${Math.round(n)} ms`,
    kilobits: (n: number): string =>
      n < 1_000_000 ? `${Math.round(n / 1000)} kbit/s` : `${(n / 1_000_000).toFixed(1)} Mbit/s`,
    none: '–',
  },
} as const

/** Codec strings by the names that people know. */
export const codecWords = (codecs: readonly string[]): string | undefined =>
  codecs.length === 0
    ? undefined
    : codecs.map(codec => codecNames[parseCodec(codec).family] ?? codec).join(' + ')

const codecNames: Readonly<Record<CodecFamily, string | undefined>> = {
  vp8: 'VP8',
  vp9: 'VP9',
  av1: 'AV1',
  h264: 'H.264',
  opus: 'Opus',
  aac: 'AAC',
  unknown: undefined,
}

/** A span in the largest unit that says enough. @param span milliseconds */
export function spanWords(span: number): string {
  const seconds = Math.max(0, Math.round(span / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** A moment as a clock of this place shows it; with the day where it is another one. @param at milliseconds */
export function clockWords(at: number, now = Date.now()): string {
  const [moment, today] = [new Date(at), new Date(now)]
  const time = moment.toLocaleTimeString('en-GB')
  return moment.toDateString() === today.toDateString()
    ? time
    : `${moment.toLocaleDateString('en', { month: 'short', day: 'numeric' })} ${time}`
}

/** @param lag milliseconds */
export const lagWords = (lag: number): string =>
  lag < 10_000 ? text.figures.milliseconds(lag) : spanWords(lag)

export function publisherWords(state: PublisherState): Words {
  switch (state.kind) {
    case 'idle':
      return {
        badge: 'Off air',
        tone: 'calm',
        sentence: 'Press Start: the browser asks for your camera and microphone.',
      }
    case 'asking':
      return { badge: 'Asking', tone: 'busy', sentence: 'Let the browser use your camera and microphone.' }
    case 'refused':
      return { badge: 'No camera', tone: 'bad', sentence: deviceWords(state.problem) }
    case 'unsupported':
      return {
        badge: 'Not supported',
        tone: 'bad',
        sentence: `This browser lacks ${state.missing}. A current Chrome, Edge, Firefox or Safari has it.`,
      }
    case 'connecting':
      return {
        badge: 'Connecting',
        tone: 'busy',
        sentence: problemWords(state.problem) ?? 'Connecting to the gateway…',
      }
    case 'live':
      return {
        badge: 'Live',
        tone: 'live',
        sentence: 'You are on air. Every frame is in the log before it counts as sent.',
      }
    case 'stalled':
      return {
        badge: 'Waiting',
        tone: 'busy',
        sentence:
          'The log does not answer. The last 30 seconds are kept and written when it does; what is older is lost.',
      }
    case 'reconnecting':
      return {
        badge: 'Reconnecting',
        tone: 'busy',
        sentence:
          problemWords(state.problem) ??
          'The connection is gone. Up to 30 seconds are kept and sent when it is back.',
      }
    case 'ended':
      return {
        badge: 'Ended',
        tone: 'calm',
        sentence: 'The broadcast is over. Its recording stays under the same link.',
      }
    case 'failed':
      return {
        badge: 'Stopped',
        tone: 'bad',
        sentence: problemWords(state.problem) ?? 'The broadcast stopped.',
      }
    default:
      return state satisfies never
  }
}

export function playerWords(state: PlayerState): Words {
  switch (state.kind) {
    case 'connecting':
      return {
        badge: 'Connecting',
        tone: 'busy',
        sentence: problemWords(state.problem) ?? 'Connecting to the gateway…',
      }
    case 'waiting':
      return {
        badge: 'Waiting',
        tone: 'calm',
        sentence: 'Nobody is on air here yet. The picture comes by itself.',
      }
    case 'live':
      return { badge: 'Live', tone: 'live', sentence: 'Live from the log.' }
    case 'replaying':
      return { badge: 'Replay', tone: 'calm', sentence: 'Playing what the log has kept.' }
    case 'paused':
      return { badge: 'Paused', tone: 'calm', sentence: 'The picture stands still. The log goes on.' }
    case 'reconnecting':
      return {
        badge: 'Reconnecting',
        tone: 'busy',
        sentence: problemWords(state.problem) ?? 'The connection is gone. Trying again…',
      }
    case 'interrupted':
      return {
        badge: 'Interrupted',
        tone: 'busy',
        sentence: 'The camera is gone for the moment. The picture goes on when it is back.',
      }
    case 'ended':
      return {
        badge: 'Ended',
        tone: 'calm',
        sentence: 'The broadcast is over. Its recording can be watched from the start.',
      }
    case 'unsupported':
      return { badge: 'Not supported', tone: 'bad', sentence: unsupportedWords(state.missing) }
    case 'failed':
      return {
        badge: 'Stopped',
        tone: 'bad',
        sentence: problemWords(state.problem) ?? 'The picture stopped.',
      }
    default:
      return state satisfies never
  }
}

export const soundWords: Readonly<Record<SoundState, string>> = {
  heard: 'Mute',
  silent: 'Sound on',
  off: 'Sound on',
  blocked: 'Tap for sound',
  none: 'No sound',
}

const insecure =
  'Browsers give camera and decoders only to secure pages, and plain http from another machine is none. ' +
  'Open the page as http://localhost on the gateway’s own machine, or put https in front of the gateway.'

function deviceWords(problem: DeviceProblem): string {
  switch (problem) {
    case 'insecure':
      return insecure
    case 'denied':
      return 'The browser may not use the camera. Allow it beside the page’s address, and press Start again.'
    case 'none':
      return 'There is neither a camera nor a microphone. Connect one, and press Start again.'
    case 'busy':
      return 'The camera does not start. Another program may be using it: close that one, and press Start again.'
    default:
      return problem satisfies never
  }
}

const unsupportedWords = (missing: string): string =>
  missing === 'WebCodecs' && !isSecureContext
    ? insecure
    : `This browser cannot play this: it lacks ${missing}.`

function problemWords(problem: Problem | undefined): string | undefined {
  if (problem === undefined) return undefined
  if (problem.code === 'BROADCAST_BUSY')
    return 'Somebody else is live under this name. Choose another one, or wait: it is tried again until they stop.'
  if (problem.code === 'BROADCAST_TAKEN_OVER') return 'The broadcast goes on in another tab of yours.'
  const { message, advice } = problem
  return advice === '' ? `${message}.` : `${message}. ${advice}`
}
