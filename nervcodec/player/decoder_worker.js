// @ts-check
/** The module worker of the player; its messages are those of decoder_service.js. */

import { DecoderService } from './decoder_service.js';

const service = new DecoderService((answer, transfer) => {
  self.postMessage(answer, { transfer });
});

self.addEventListener('message', (event) => {
  service.receive(event.data);
});
