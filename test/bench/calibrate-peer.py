"""CPU seconds of ONNX Runtime's own calibrators and of plain inference on the same samples, in one process, as JSON."""
import json, os, sys, tempfile, time
import numpy as np
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader
from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

# The calibrators say nothing of threads: on one processor the runtime has one, and none that waits in a loop.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

path, count, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ort.set_default_logger_severity(3)
session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
types = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def sample(i):
    rng = np.random.default_rng(i)
    feeds = {}
    for x in session.get_inputs():
        dims = [d if isinstance(d, int) and d > 0 else (1 if at == 0 else length) for at, d in enumerate(x.shape)]
        t = types[x.type]
        feeds[x.name] = rng.standard_normal(dims).astype(t) if t == np.float32 else (
            np.ones(dims, t) if "mask" in x.name else np.zeros(dims, t) if "type" in x.name else rng.integers(0, 1000, dims).astype(t))
    return feeds


class Reader(CalibrationDataReader):
    def __init__(self):
        self.at = 0

    def get_next(self):
        self.at += 1
        return sample(self.at) if self.at <= count else None


def cpu(run):
    start = time.process_time()
    run()
    return time.process_time() - start


result = {"plain": cpu(lambda: [session.run(None, sample(i + 1)) for i in range(count)])}
for name, method in [("min-max", CalibrationMethod.MinMax), ("percentile", CalibrationMethod.Percentile)]:
    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(path, ["MatMul", "Gemm", "Conv"], f"{folder}/augmented.onnx", method)
        calibrator.set_execution_providers(["CPUExecutionProvider"])

        def collect():
            calibrator.collect_data(Reader())
            calibrator.compute_data()

        try:
            result[name] = cpu(collect)
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr)
print(json.dumps(result))
