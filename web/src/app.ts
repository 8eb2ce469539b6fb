// The one script of every page: `<body data-page>` says which page it is.

import { catalogPage } from "./catalog";
import { signInPage } from "./sign-in";

async function start(): Promise<void> {
  switch (document.body.dataset["page"]) {
    case "sign-in":
      return signInPage();
    case "catalog":
      return catalogPage();
    case "watch": {
      const { watchPage } = await import("./watch");
      return watchPage();
    }
  }
}

void start();
