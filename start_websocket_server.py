"""Starts the server: ``python start_websocket_server.py --help``. The program is ``kani/cli/serve.py``."""

# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "starlette==1.10.0", "anyio==4.16.0", "uvicorn==0.54.0", "h11==0.16.0",
#     "uvloop==0.23.0; sys_platform != 'win32'", "websockets==17.4", "msgspec==0.22.0", "pydantic==2.14.3",
#     "python-dotenv==1.2.4", "platformdirs==4.14.5", "python-multipart==0.0.34", "prometheus-client==0.26.0",
#     "numpy==2.4.6", "soxr==1.0.0", "av==18.1.0", "onnxruntime==1.31.1", "ai-edge-litert==2.3.0",
#     "ctranslate2==4.8.5", "tokenizers==0.23.3", "espeakng-loader==0.2.4", "pypinyin==0.55.0",
#     "rjieba==0.2.2", "haqumei==0.12.3", "num2words==0.5.14", "opencc==1.4.2", "Babel==2.18.0",
#     "py3langid==0.4.0", "pypdf==7.1.0", "httpx2==2.16.2", "httpcore2==2.16.2", "zeroconf==0.154.0",
#     "PyJWT==2.15.1", "filelock==4.2.11",
# ]
# ///

import runpy

if __name__ == "__main__":
    runpy.run_module("kani.cli.serve", run_name="__main__")
