"""Models of specc as scikit-learn estimators (`pip install specc-nn[sklearn]`).

    from specc.sklearn import SpecClassifier

    model = SpecClassifier("flowers.dl", epochs=50, lr=0.01)
    GridSearchCV(model, {"hidden": [16, 64]}, n_jobs=2).fit(X, y)

The model is a .dl file or its text; symbolic dimensions (`dim features`) follow from X and y. The
default is a small dense network with standardized inputs. Any size, constant or setting of the file
is a parameter of the estimator: `lr`, `optimizer`, `hidden`.

default         the default network
estimator       what both estimators share
classifier      SpecClassifier
regressor       SpecRegressor
"""

from specc.sklearn.classifier import SpecClassifier
from specc.sklearn.regressor import SpecRegressor

__all__ = ["SpecClassifier", "SpecRegressor"]
