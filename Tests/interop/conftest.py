def pytest_addoption(parser):
    parser.addoption(
        "--regenerate", action="store_true", help="write onnx_backend.json instead of comparing with it"
    )
