/** The two ways to present a broadcast. */
import { MediaSourcePresentation } from './mse/media-source-presentation.ts'
import { mediaSourceClass } from './mse/source.ts'
import type { PresentationMaker } from './presentation.ts'
import { WebCodecsPresentation } from './webcodecs-presentation.ts'

/** How a page decodes; the first that works, in this order, where it does not matter. */
export const playerModes = ['webcodecs', 'mse'] as const
export type PlayerMode = (typeof playerModes)[number]

/** What each is called, whether this browser has it, and how it begins. */
export const ways: Readonly<
  Record<PlayerMode, { readonly name: string; isThere(): boolean; readonly make: PresentationMaker }>
> = {
  webcodecs: {
    name: 'WebCodecs',
    isThere: () => 'VideoDecoder' in globalThis && 'AudioDecoder' in globalThis,
    make: (options, handler) => new WebCodecsPresentation(options, handler),
  },
  mse: {
    name: 'MediaSource',
    isThere: () => mediaSourceClass() !== undefined,
    make: (options, handler) => new MediaSourcePresentation(options, handler),
  },
}
